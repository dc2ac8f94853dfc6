"""`bellpull check` for a repository by SSH: the three things that go wrong there, and what to do about each."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.git import Mirrors
from agent.app.config import AgentConfig
from agent.spec import Sync
from bellpull.cli.check_git import of_source
from bellpull.cli.finding import Finding
from tests.parts.git import Repository
from tests.parts.sshd import KeyPair, Sshd

Keys = dict[str, KeyPair]


@pytest.fixture
async def git(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors") as git:
        yield git


@pytest.fixture
def repository(sshd: Sshd, tmp_path: Path) -> Repository:
    return Repository(tmp_path / "git", server=sshd.url)


def _config(secrets: Path) -> AgentConfig:
    gateway = {"url": "http://127.0.0.1:1", "installation": "x", "keys": {"file": "k"}, "token": {"file": "t"}}
    folders = {"syncs": "syncs", "secrets": str(secrets), "state": "state"}
    return AgentConfig.model_validate(
        {"agent": "a", "environment": "b", "gateway": gateway, "report_key": {"file": "r"}, **folders}
    )


async def look(git: Mirrors, url: str, secrets: Path, **files: bytes) -> Finding:
    folder = secrets / "site"

    def write() -> None:
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)

    await asyncio.to_thread(write)
    sync = {
        "apiVersion": "bellpull.dev/v1alpha1",
        "kind": "Sync",
        "metadata": {"name": "site"},
        "spec": {
            "source": {"url": url, "branch": "main", "secretRef": {"name": "site"}},
            "target": {"directory": {"path": "/srv/site"}},
        },
    }
    return await of_source(git, _config(secrets), Sync.model_validate(sync))


async def test_a_repository_by_ssh_is_asked_for_its_ref(
    git: Mirrors, repository: Repository, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    commit = await asyncio.to_thread(repository.commit, {"a": b"1"})
    known = sshd.known_hosts(sshd_keys["ed25519"])
    found = await look(git, repository.url, tmp_path / "s", identity=sshd_keys["user"].private, known_hosts=known)
    assert found.ok
    assert f"refs/heads/main is at {commit[:12]}" in found.found


async def test_without_known_hosts_the_line_that_gets_one_is_named(
    git: Mirrors, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    found = await look(git, f"{sshd.url}/acme/site", tmp_path / "s", identity=sshd_keys["user"].private)
    assert not found.ok
    assert f"`ssh-keyscan -p {sshd.port} 127.0.0.1`" in found.found
    assert "with those the provider publishes before you trust them" in found.found
    assert sshd.requests == []


async def test_a_wrong_host_key_is_named_by_fingerprints(
    git: Mirrors, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    known = sshd.known_hosts(sshd_keys["other"])
    url = f"{sshd.url}/acme/site"
    found = await look(git, url, tmp_path / "s", identity=sshd_keys["user"].private, known_hosts=known)
    assert not found.ok
    assert await asyncio.to_thread(sshd_keys["other"].fingerprint) in found.found
    assert await asyncio.to_thread(sshd_keys["ed25519"].fingerprint) in found.found
    assert "that the provider publishes" in found.do


async def test_a_key_that_is_not_let_in_is_named(git: Mirrors, sshd: Sshd, sshd_keys: Keys, tmp_path: Path) -> None:
    known = sshd.known_hosts(sshd_keys["ed25519"])
    url = f"{sshd.url}/acme/site"
    found = await look(git, url, tmp_path / "s", identity=sshd_keys["other"].private, known_hosts=known)
    assert not found.ok
    assert "the server refused the key `identity`" in found.found
    assert "identity" in found.do
