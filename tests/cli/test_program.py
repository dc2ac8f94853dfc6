"""The command as a whole: help, exit codes, what it costs."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import IO

import pytest

from bellpull.runtime.files import FolderLock
from tests.cli.command import bellpull

HEAVY = {"aiohttp", "apsw", "cryptography", "joserfc", "orjson", "pydantic", "pygit2", "rich", "structlog", "yaml"}


def test_help_has_a_line_for_each_verb_in_three_groups_and_three_examples() -> None:
    ended = bellpull("--help")
    assert (ended.code, ended.err) == (0, "")
    _, groups = ended.out.split("Everyday:\n")
    assert [line.split()[0] for line in groups.splitlines() if line.startswith("  ") and line[2] != " "] == [
        *("demo", "init", "check", "diff", "apply"),
        *("gateway", "agent"),
        *("gateway", "gateway", "gateway", "broker", "broker", "broker", "enroll"),
        *["bellpull"] * 3,
    ]
    assert [line for line in groups.splitlines() if line and line[0] != " "] == ["Run:", "Operate:", "Examples:"]


@pytest.mark.parametrize(
    ("words", "typers_own"),
    [
        (["--help"], set()),
        (["-h"], set()),
        (["--version"], set()),
        (["init", "--help"], {"pydantic"}),  # for its options Typer may look whether pydantic is there
        (["gateway", "--help"], {"pydantic"}),
        (["broker", "setup", "--help"], {"pydantic"}),
        (["apply", "--help"], {"pydantic"}),
    ],
)
def test_help_loads_no_heavy_library(words: list[str], typers_own: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bellpull", *words], capture_output=True, text=True, check=True
    )
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "typer" in loaded
    assert loaded & HEAVY <= typers_own


USAGE: dict[str, tuple[list[str], str]] = {
    "nothing": ([], ""),
    "no such verb": (["inti"], "Did you mean 'init'?"),
    "no such option": (["init", "--force"], "No such option"),
    "nobody to enroll": (["enroll"], "Missing argument"),
    "nothing to hear": (["enroll", "web-1"], "Missing option"),
    "no such output": (["check", "-o", "xml"], "Invalid value for"),
}


@pytest.mark.parametrize(("words", "said"), USAGE.values(), ids=USAGE.keys())
def test_what_it_does_not_understand_is_a_usage_error(words: list[str], said: str, tmp_path: Path) -> None:
    ended = bellpull(*words, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


BAD = {
    "gateway": "installation: Acme\nseal: {key: hunter2}\nlisten: {hooks: hunter2}\nsecret: hunter2\n",
    "agent": "agent: Web 1\ngateway: {token: hunter2}\nstate: {}\nsecret: hunter2\n",
}


@pytest.mark.parametrize("verb", ["gateway", "agent"])
def test_a_program_says_all_that_is_wrong_with_its_configuration_and_ends(verb: str, tmp_path: Path) -> None:
    """P11."""
    (tmp_path / f"{verb}.yaml").write_text(BAD[verb])
    ended = bellpull(verb, cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    assert len(lines) > 4
    assert all(line.startswith(f"{verb}.yaml: ") for line in lines)
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(("verb", "variable"), [("gateway", "GATEWAY"), ("agent", "AGENT")])
def test_a_configuration_may_be_named_by_the_environment(verb: str, variable: str, tmp_path: Path) -> None:
    ended = bellpull(verb, cwd=tmp_path, env={f"BELLPULL_{variable}_CONFIG": "elsewhere.yaml"})
    assert ended.code == 1
    assert ended.err == "elsewhere.yaml: cannot be read: no such file or directory\n"


@pytest.mark.parametrize(("verb", "folder"), [("gateway", "data"), ("agent", "web-1/state")])
def test_a_program_whose_folder_is_in_use_says_by_whom(verb: str, folder: str, tmp_path: Path) -> None:
    """R7."""
    assert bellpull("init", tmp_path).code == 0
    assert bellpull("enroll", "web-1", "-r", "github.com/acme/site", cwd=tmp_path).code == 0
    (tmp_path / folder).mkdir()
    with FolderLock(tmp_path / folder):
        ended = bellpull(verb, "-c", f"{verb}.yaml", cwd=(tmp_path / folder).parent)
    assert (ended.code, ended.out) == (1, "")
    assert f"{folder.rpartition('/')[2]} is in use by process {os.getpid()}" in ended.err
    assert "Traceback" not in ended.err


def _unread(pipe: IO[bytes]) -> int:
    """Return how many bytes of a pipe nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_an_interrupt_ends_a_verb_with_130(tmp_path: Path) -> None:
    """The configuration is a named pipe, which the verb waits for; an interrupt just before that is not seen."""
    pipe = tmp_path / "gateway.yaml"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "bellpull", "check"], cwd=tmp_path, stderr=subprocess.PIPE
        ) as process,
        pipe.open("wb", buffering=0) as writing,
    ):  # opens once the verb does
        writing.write(b" ")
        while _unread(writing):
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == b""
