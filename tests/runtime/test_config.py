"""A bad file says everything that is wrong with it, each with its place, and shows no secret."""

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from bellpull.contract.text import Name
from bellpull.runtime.address import Address
from bellpull.runtime.config import (
    ConfigError,
    Problems,
    SecretError,
    SecretRef,
    Settings,
    exposed,
    kind,
    load,
    load_documents,
    parse,
    read_secret,
)


class Source(Settings):
    name: Annotated[Name, kind(Name)]
    secrets: Annotated[tuple[SecretRef, ...], Field(min_length=1)]


class Listen(Settings):
    hooks: Address = Address(host="127.0.0.1", port=8080)


class Program(Settings):
    sources: tuple[Source, ...]
    listen: Listen = Listen()
    size: int = 1


GOOD = """
sources:
  - name: github
    secrets: [{file: secrets/github}, {env: OLD_SECRET}]
listen: {hooks: "[::1]:0"}
"""

BAD = {
    "everything at once": (
        """\
sources:
  - name: GitHub!
    secrets: [hunter2, {file: a, env: B}, {}, {value: hunter2}, {file: [hunter2]}]
    secret: hunter2
  - {}
listen: {hooks: hunter2, console: 1}
size: hunter2
size: hunter2
colour: hunter2
""",
        """\
line 8: the key 'size' is there twice
sources[0].name: is not a name of a-z, 0-9, '-' and '.', up to 63 characters
sources[0].secrets[0]: says no place: write {file: PATH} or {env: NAME}, never the secret itself
sources[0].secrets[1]: needs exactly one of file and env
sources[0].secrets[2]: needs exactly one of file and env
sources[0].secrets[3].value: is not known
sources[0].secrets[4].file: is not a path
sources[0].secret: is not known
sources[1].name: is missing
sources[1].secrets: is missing
listen.hooks: is not HOST:PORT (such as 127.0.0.1:8080 or [::1]:8080)
listen.console: is not known
size: is not a whole number
colour: is not known""",
    ),
    "lists with too little, or too little that is right": (
        "sources: [{name: a, secrets: []}, {name: b, secrets: [hunter2]}]",
        """\
sources[0].secrets: needs at least one
sources[1].secrets[0]: says no place: write {file: PATH} or {env: NAME}, never the secret itself""",
    ),
    "nothing": ("", "sources: is missing"),
    "only a comment": ("# hunter2\n", "sources: is missing"),
    "a text": ("hunter2", "is not a mapping"),
    "a list": ("[hunter2]", "is not a mapping"),
    "a mapping where a list belongs": ("sources: {hunter2: 1}", "sources: is not a list"),
    "two documents": ("sources: []\n---\nsources: []\n", "has more than one document"),
    "no YAML": ("sources: [hunter2\n", "line 2: is not YAML: did not find expected ',' or ']'"),
    "a tab": ("sources:\n\t- hunter2\n", "line 2: is not YAML: found character that cannot start any token"),
    "a tag": (
        "sources: !hunter2 x\n",
        "line 1: is a tag or key that is not known here (quote a value that begins with '!')",
    ),
    "an alias": ("sources: *hunter2\n", "line 1: aliases are not used here"),
    "a key that is a list": (
        "{[hunter2]: 1}",
        "line 1: is a tag or key that is not known here (quote a value that begins with '!')",
    ),
    "a key that is a number": ("sources: []\n7: hunter2\n", "[7]: is a key that is no text (quote it)"),
    "a key twice, deep down": (
        "sources:\n- name: a\n  secrets:\n  - {file: hunter2, file: hunter2}\n",
        "line 4: the key 'file' is there twice",
    ),
    "bytes that are no text": (b"sources: \xff\xfe\n", "is not YAML in UTF-8"),
    "a NUL": (b"sources: \x00\n", "is not YAML in UTF-8"),
}


@pytest.mark.parametrize(("content", "problems"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_gives_all_its_problems_with_their_places(
    content: str | bytes, problems: str, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load(Program, path)
    assert "\n".join(str(problem) for problem in caught.value.problems) == problems
    assert str(caught.value) == "\n".join(f"{path}: {line}" for line in problems.split("\n"))
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GOOD)
    program = load(Program, tmp_path / "gateway.yaml")
    assert program.sources[0].name == "github"
    assert [str(ref) for ref in program.sources[0].secrets] == ["secrets/github", "environment variable OLD_SECRET"]
    assert program.listen.hooks == Address(host="::1", port=0)


@pytest.mark.parametrize(("name", "problem"), [("absent", "no such file"), (".", "is a directory")])
def test_a_file_that_cannot_be_read_is_a_problem_of_the_file(name: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot be read: {problem}"):
        load(Program, tmp_path / name)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_the_one_documented_error(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load(Program, path)


def test_documents_are_numbered_and_empty_ones_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "syncs.yaml"
    path.write_text("---\n# nothing\n---\na: 1\n---\na: 2\n")
    assert load_documents(path) == [(2, {"a": 1}), (3, {"a": 2})]


def test_a_document_says_which_it_is() -> None:
    value, problems = parse(Source, {"name": "a", "secrets": [1]}, where="document 2: ")
    assert value is None
    assert [str(problem) for problem in problems] == [
        "document 2: secrets[0]: says no place: write {file: PATH} or {env: NAME}, never the secret itself"
    ]


SECRETS = {
    "plain": (b"hunter2", b"hunter2"),
    "one newline is the editor's": (b"hunter2\n", b"hunter2"),
    "two are not": (b"hunter2\n\n", b"hunter2\n"),
    "Windows' newline": (b"hunter2\r\n", b"hunter2"),
    "spaces are the secret's": (b" hunter2 ", b" hunter2 "),
    "any bytes": (b"\xff\x00", b"\xff\x00"),
}


@pytest.mark.parametrize(("content", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_what_its_file_holds(content: bytes, secret: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert read_secret(SecretRef(file=Path("secret")), tmp_path).reveal() == secret


BAD_SECRETS = {
    "absent": (None, "cannot be read: no such file or directory"),
    "empty": (b"", "is empty"),
    "a newline": (b"\n", "is empty"),
    "too large": (b"hunter2" * 10_000, "is larger than 64 KiB"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_SECRETS.values(), ids=BAD_SECRETS.keys())
def test_a_secret_that_cannot_be_had_says_why(content: bytes | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SecretError, match=problem) as caught:
        read_secret(SecretRef(file=Path("secret")), tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ref = SecretRef(env="BELLPULL_TEST_SECRET")
    with pytest.raises(SecretError, match="environment variable BELLPULL_TEST_SECRET is not set"):
        read_secret(ref, tmp_path)
    monkeypatch.setenv("BELLPULL_TEST_SECRET", "hunter2")
    assert read_secret(ref, tmp_path).reveal() == b"hunter2"


def test_a_secret_others_may_read_is_warned_about(tmp_path: Path) -> None:
    ref = SecretRef(file=Path("secret"))
    assert exposed(ref, tmp_path) is None
    (tmp_path / "secret").write_bytes(b"hunter2")
    (tmp_path / "secret").chmod(0o640)
    assert exposed(ref, tmp_path) == (
        f"{tmp_path}/secret may be read by others (mode 0640): chmod 600 {tmp_path}/secret"
    )
    (tmp_path / "secret").chmod(0o600)
    assert exposed(ref, tmp_path) is None


def test_what_is_found_wrong_in_use_is_gathered(tmp_path: Path) -> None:
    problems = Problems(tmp_path / "gateway.yaml")
    problems.check()
    assert problems.secret("seal.key", SecretRef(file=Path("nowhere"))) is None
    problems.add("sources", "are none")
    with pytest.raises(ConfigError) as caught:
        problems.check()
    assert caught.value.lines() == (
        f"{tmp_path}/gateway.yaml: seal.key: {tmp_path}/nowhere cannot be read: no such file or directory",
        f"{tmp_path}/gateway.yaml: sources: are none",
    )


@pytest.mark.parametrize("value", ["127.0.0.1:8080", "[::1]:80", "localhost:0", "0.0.0.0:65535"])
def test_an_address_comes_back_as_it_was_written(value: str) -> None:
    assert str(Address.parse(value)) == value


@pytest.mark.parametrize("value", ["", "8080", ":8080", "::1:80", "a:65536", "a:", "a:b", "a:-1", "[a]:1", "a b:1"])
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Address.parse(value)
