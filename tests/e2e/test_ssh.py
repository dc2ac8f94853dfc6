"""A Sync of a repository by SSH, from the push to what runs, and what is said when the host key is a wrong one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
import yaml

from bellpull.cli.demo.world import World, world
from tests.e2e.site import Site, document, open_to_all
from tests.parts.git import Repository
from tests.parts.sshd import KeyPair, Sshd, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SECRET: Final = Path("web-1", "secrets", "deploy-key")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    sshd_program: Path, git_programs: Path, sshd_keys: dict[str, KeyPair], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sshd]:
    assert git_programs.name
    folder = tmp_path_factory.mktemp("ssh")
    async with serving(sshd_program, folder / "sshd", folder / "git", [sshd_keys["ed25519"]]) as server:
        await asyncio.to_thread(server.authorize, sshd_keys["user"])
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Sshd, sshd_keys: dict[str, KeyPair]) -> AsyncIterator[Site]:
    def prepare(folder: Path, _: str) -> None:
        open_to_all(folder)
        Repository(folder / "git", "sites/secure").commit({"public/index.html": b"first"})
        (server.root / "sites").symlink_to(folder / "git" / "sites")
        config, syncs = folder / "web-1" / "agent.yaml", folder / "web-1" / "syncs.yaml"
        config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"secrets": "./secrets"}))
        source = {"url": f"{server.url}/sites/secure.git", "secretRef": {"name": "deploy-key"}}
        sync = document("", "secure", source=source, retryInterval="1s")
        syncs.write_text(f"{syncs.read_text()}\n---\n{yaml.safe_dump(sync)}")
        (folder / _SECRET).mkdir(parents=True, mode=0o700)
        (folder / _SECRET / "identity").write_bytes(sshd_keys["user"].private)
        (folder / _SECRET / "known_hosts").write_bytes(server.known_hosts(sshd_keys["ed25519"]))

    async with world(prepare) as made:
        site = Site(made, "secure")
        await site.shows("first")
        yield site


async def test_a_push_is_applied_by_ssh(site: Site) -> None:
    """The webhook names the repository by its HTTPS URL; the Sync fetches it by its own (P4)."""
    push = await site.commit("second")
    await site.announce(push)
    await site.word(push.after, "applied", "unchanged")
    assert site.read() == "second"


async def test_a_wrong_host_key_is_a_failure_that_ends_when_it_is_mended(
    site: Site, server: Sshd, sshd_keys: dict[str, KeyPair]
) -> None:
    """`failed` at once, with the fingerprints; what runs is kept, and nothing of the key is anywhere."""
    known_hosts = site.world.folder / _SECRET / "known_hosts"
    await asyncio.to_thread(known_hosts.write_bytes, server.known_hosts(sshd_keys["other"]))
    last = await site.commit("third")
    await site.announce(last)
    await site.word(last.after, "applied", "unchanged", "failed")  # of a run that began with the right one, perhaps
    before = site.read()
    push = await site.commit("fourth")
    await site.announce(push)
    said = await site.word(push.after, "failed")
    assert f"wrong host key: [127.0.0.1]:{server.port} shows ssh-ed25519" in said["message"]
    assert await asyncio.to_thread(sshd_keys["other"].fingerprint) in said["message"]
    assert site.read() == before
    await asyncio.to_thread(known_hosts.write_bytes, server.known_hosts(sshd_keys["ed25519"]))
    await site.word(push.after, "applied")
    assert site.read() == "fourth"
    assert not await asyncio.to_thread(_found, site.world, sshd_keys["user"].private.splitlines()[1])


def _found(world: World, secret: bytes) -> list[Path]:
    """Return the files in which it is, but for its own."""
    files = [path for path in world.folder.rglob("*") if path.is_file() and path.parent.name != _SECRET.name]
    return [path for path in files if secret in path.read_bytes()]
