"""The gateway's files: everything that is wrong, at once, with its place; never a value."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bellpull.contract.text import Name
from bellpull.runtime.config import Address, ConfigError
from gateway.app.config import GatewayConfig, load_config

LEAST = """
installation: acme
data: ./data
seal: {key: {file: secrets/seal.jwk}}
"""
FULL = """
installation: acme
data: /var/lib/bellpull
seal: {key: {env: SEAL_KEY}}
listen: {hooks: "[::]:443", agents: 10.0.0.1:8081, console: localhost:0}
agents: records
sources:
  - name: github
    provider: github
    secrets: [{file: secrets/github}, {env: OLD_SECRET}]
    repositories: [github.com/acme/*, "github.com/acme-labs/**"]
"""
BAD = """
installation: Acme Corp
seal: {key: hunter2}
listen: {hooks: "8080"}
broker: {url: hunter2}
sources:
  - name: git hub
    provider: gitlob
    secrets: [hunter2]
    repositories: ["https://github.com/acme/site", github.com]
  - name: open
    provider: github
    secrets: []
    repositories: []
  - {name: bare}
"""


def read(folder: Path, text: str) -> GatewayConfig:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return load_config(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    assert raised.value.path == folder / "gateway.yaml"
    return [str(problem) for problem in raised.value.problems]


def test_three_lines_are_enough_and_nothing_is_public_by_default(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    listen = config.listen
    assert [str(each) for each in (listen.hooks, listen.agents, listen.console)] == [
        "127.0.0.1:8080",
        "127.0.0.1:8081",
        "127.0.0.1:8082",
    ]
    assert (config.agents, config.sources) == (Path("agents"), ())


def test_all_of_it(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    (source,) = config.sources
    assert config.listen.hooks == Address(host="::", port=443)
    assert (source.name, source.provider) == (Name("github"), "github")
    assert [str(ref) for ref in source.secrets] == ["secrets/github", "environment variable OLD_SECRET"]
    assert source.repositories == ("github.com/acme/*", "github.com/acme-labs/**")


def test_everything_wrong_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    assert problems(tmp_path, BAD) == snapshot(
        [
            "installation: is not a name of a-z, 0-9, '-' and '.', up to 63 characters",
            "data: is missing",
            "seal.key: says no place: write {file: PATH} or {env: NAME}, never the secret itself",
            "listen.hooks: is not HOST:PORT (such as 127.0.0.1:8080 or [::1]:8080)",
            "sources[0].name: is not a name of a-z, 0-9, '-' and '.', up to 63 characters",
            "sources[0].provider: is none of generic, github",
            "sources[0].secrets[0]: says no place: write {file: PATH} or {env: NAME}, never the secret itself",
            "sources[0].repositories[0]: is no pattern: write HOST/PATH, with * within a part and ** across parts",
            "sources[0].repositories[1]: is no pattern: write HOST/PATH, with * within a part and ** across parts",
            "sources[1].secrets: needs at least one",
            "sources[1].repositories: needs at least one",
            "sources[2].provider: is missing",
            "sources[2].secrets: is missing",
            "sources[2].repositories: is missing",
            "broker: is not known",
        ]
    )


def test_no_problem_repeats_a_value_that_may_be_a_secret(tmp_path: Path) -> None:
    assert "hunter2" not in "\n".join(problems(tmp_path, BAD))


@pytest.mark.parametrize("part", ["secrets", "repositories"])
def test_a_source_that_anybody_may_use_or_that_allows_nothing_is_an_error(tmp_path: Path, part: str) -> None:
    """P2: without a secret there is no source; and a forgotten list is not `everything`."""
    lines = [line for line in FULL.splitlines() if part + ":" not in line]
    assert problems(tmp_path, "\n".join(lines)) == [f"sources[0].{part}: is missing"]


def test_two_sources_of_one_name_are_an_error(tmp_path: Path) -> None:
    source = FULL[FULL.index("  - name") :]
    assert problems(tmp_path, FULL + source) == ["sources: the name github is there twice"]
