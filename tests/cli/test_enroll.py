"""`bellpull enroll` makes an agent that the gateway knows and that can start."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from agent.app.config import load_config
from agent.app.sync_files import load_sync_files
from bellpull.runtime.jose import load_pinned, load_private
from gateway.app.enrolment import load_enrolments
from tests.cli.command import Ended, bellpull

MODES = {
    ".gitignore": 0o644,
    "agent.yaml": 0o644,
    "gateway-keys.json": 0o644,
    "report.jwk": 0o600,
    "syncs.yaml": 0o644,
    "token": 0o600,
}


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    assert bellpull("init", tmp_path).code == 0
    return tmp_path


def _enroll(gateway: Path, *words: str, name: str = "web-1") -> Ended:
    return bellpull("enroll", name, "--config", gateway / "gateway.yaml", *words, cwd=gateway)


def test_record_and_folder_fit_together(gateway: Path) -> None:
    """R17, R26, R27."""
    ended = _enroll(gateway, "--repository", "github.com/Acme/Site", "-r", "github.com/acme/lib-*", "-e", "staging")
    assert ended.code == 0
    folder = gateway / "web-1"
    token = (folder / "token").read_bytes().strip()
    record = load_enrolments(gateway / "agents").by_token(token)
    assert record is not None
    assert (record.agent, record.environments) == ("web-1", ("staging",))
    assert record.repositories == ("github.com/acme/site", "github.com/acme/lib-*")
    assert list(record.pinned) == [load_private((folder / "report.jwk").read_bytes()).kid]
    seal = load_private((gateway / "secrets/seal.jwk").read_bytes())
    assert list(load_pinned((folder / "gateway-keys.json").read_bytes())) == [seal.kid]


def test_the_agents_configuration_is_printed_and_loads_with_its_sync(gateway: Path) -> None:
    ended = _enroll(gateway, "-r", "github.com/acme/site")
    folder = gateway / "web-1"
    assert ended.out == (folder / "agent.yaml").read_text()
    config = load_config(folder / "agent.yaml")
    assert (config.agent, config.environment, config.gateway.installation) == ("web-1", "production", "bellpull")
    assert str(config.gateway.url) == "http://127.0.0.1:8081/"
    (sync,) = load_sync_files(config.syncs)
    assert sync.spec.source.url == "https://github.com/acme/site"
    assert sync.spec.target.directory is not None
    assert sync.spec.target.directory.path == folder / "site"


def test_keys_and_token_are_their_owners_only(gateway: Path) -> None:
    _enroll(gateway, "-r", "github.com/acme/site")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (gateway / "web-1").iterdir()}
    assert modes == MODES
    assert (gateway / "web-1").stat().st_mode & 0o777 == 0o700


def test_nothing_secret_is_printed_or_in_the_record(gateway: Path) -> None:
    ended = _enroll(gateway, "-r", "github.com/acme/site")
    token = (gateway / "web-1/token").read_text().strip()
    shown = ended.out + ended.err + (gateway / "agents/web-1.yaml").read_text()
    assert sha256(token.encode()).hexdigest() in shown
    for secret in (
        token,
        token.rpartition("_")[2],
        json.loads((gateway / "web-1/report.jwk").read_bytes())["d"],
        json.loads((gateway / "secrets/seal.jwk").read_bytes())["d"],
    ):
        assert secret not in shown
        assert secret not in (gateway / "web-1/gateway-keys.json").read_text()


NAMES = {
    "a URL is the repository it leads to": (
        "http://127.0.0.1:3000/Acme/site.git",
        "127.0.0.1/acme/site",
        "http://127.0.0.1:3000/Acme/site.git",
    ),
    "a URL by SSH": (
        "ssh://git@github.com:22/acme/site.git",
        "github.com/acme/site",
        "ssh://git@github.com:22/acme/site.git",
    ),
    "a URL that no agent fetches from": (
        "git://github.com/acme/site",
        "github.com/acme/site",
        "https://github.com/acme/site",
    ),
    "a pattern": ("github.com/acme/*", "github.com/acme/*", "https://github.com/acme/example"),
    "everything": ("github.com/**", "github.com/**", "https://github.com/example"),
}


@pytest.mark.parametrize(("given", "pattern", "url"), NAMES.values(), ids=NAMES.keys())
def test_a_repository_becomes_a_pattern_and_the_first_syncs_url(
    given: str, pattern: str, url: str, gateway: Path
) -> None:
    assert _enroll(gateway, "-r", given).code == 0
    assert yaml.safe_load((gateway / "agents/web-1.yaml").read_text())["repositories"] == [pattern]
    (sync,) = load_sync_files(gateway / "web-1/syncs.yaml")
    assert sync.spec.source.url == url


@pytest.mark.parametrize(
    "repository",
    [
        "https://oauth2:hunter2@github.com/acme/site",
        "https://hunter2@github.com/acme/site",
        "HTTPS://oauth2:hunter2@github.com/acme/site",
        " https://oauth2:hunter2@github.com/acme/site",
        "http://:hunter2@github.com/acme/site",
        "https://oauth2:hunt@hunter2@github.com/acme/site",
        "git://hunter2@github.com/acme/site",
        "ssh://git:hunter2@github.com/acme/site",
        "oauth2:hunter2@github.com/acme/site",
    ],
)
def test_credentials_in_a_url_are_refused_and_neither_written_nor_repeated(repository: str, gateway: Path) -> None:
    before = sorted(gateway.rglob("*"))
    ended = _enroll(gateway, "-r", "github.com/acme/lib", "-r", repository)
    assert (ended.code, ended.out) == (1, "")
    assert "credentials" in ended.err
    assert "secretRef" in ended.err
    assert "hunter2" not in ended.err
    assert sorted(gateway.rglob("*")) == before


def test_an_agent_that_is_there_stays_as_it_is(gateway: Path) -> None:
    _enroll(gateway, "-r", "github.com/acme/site")
    record = (gateway / "agents/web-1.yaml").read_bytes()
    ended = _enroll(gateway, "-r", "github.com/acme/other", "--out", "elsewhere")
    assert (ended.code, ended.out) == (1, "")
    assert "remove that file" in ended.err
    assert (gateway / "agents/web-1.yaml").read_bytes() == record
    assert not (gateway / "elsewhere").exists()


def test_a_folder_that_is_in_the_way_leaves_no_record(gateway: Path) -> None:
    (gateway / "web-1").mkdir()
    (gateway / "web-1/token").touch()
    ended = _enroll(gateway, "-r", "github.com/acme/site")
    assert ended.code == 1
    assert "web-1/token: is there already" in ended.err
    assert not (gateway / "agents").exists()


WRONG: dict[str, tuple[str, list[str], int, str]] = {
    "a name that is none": ("Web_1", ["-r", "github.com/acme/site"], 2, "NAME"),
    "a name that leads elsewhere": ("../web", ["-r", "github.com/acme/site"], 2, "NAME"),
    "an environment that is none": ("web-1", ["-r", "github.com/acme/site", "-e", "Pro d"], 2, "--environment"),
    "a pattern that is none": ("web-1", ["-r", "site"], 1, "repositories[0]: is no pattern"),
    "a URL of another kind": ("web-1", ["-r", "ftp://github.com/acme/site"], 2, "--repository"),
    "a gateway that is no URL": ("web-1", ["-r", "a/b", "--gateway-url", "x: y"], 2, "--gateway-url"),
}


@pytest.mark.parametrize(("name", "words", "code", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_refused_before_anything_is_written(
    name: str, words: list[str], code: int, said: str, gateway: Path
) -> None:
    before = sorted(gateway.rglob("*"))
    ended = _enroll(gateway, *words, name=name)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert sorted(gateway.rglob("*")) == before


def test_a_gateway_without_its_key_cannot_enroll(gateway: Path) -> None:
    (gateway / "secrets/seal.jwk").unlink()
    ended = _enroll(gateway, "-r", "github.com/acme/site")
    assert ended.code == 1
    assert "seal.key: " in ended.err
    assert not (gateway / "web-1").exists()
