"""SSH servers that are not there, silent, slow or gone half-way, and callers who give up: nobody waits for ever."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.adapters.credentials import read_remote
from agent.adapters.git import Mirrors
from agent.ports.git import AccessDeniedError, HostKeyError, Remote, TransientError
from tests.agent.mirrored import MAIN, commit_to
from tests.agent.sshd_remote import remote_at
from tests.parts.git import Repository
from tests.parts.proxy import copy
from tests.parts.sshd import KeyPair, Sshd

Keys = dict[str, KeyPair]


@pytest.fixture
def repository(sshd: Sshd, tmp_path: Path) -> Repository:
    return Repository(tmp_path / "git", server=sshd.url)


@asynccontextmanager
async def _before(sshd: Sshd, *, passing: int, pause_s: float) -> AsyncIterator[int]:
    """Listen before `sshd`: pass on so many bytes of what it says, then one after each pause. Gives the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", sshd.port)
        up = tasks.create_task(copy(reader, far_writer))
        talks.append(up)
        try:
            left = passing
            while chunk := await far_reader.read(left or 1):
                if not left:
                    await asyncio.sleep(pause_s)
                writer.write(chunk)
                await writer.drain()
                left = max(0, left - len(chunk))
        except ConnectionError:
            pass
        finally:
            writer.close()
            far_writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(tasks.create_task(talk(reader, writer)))

    talks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as tasks:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for each in talks:
                each.cancel()


def _remote(port: int, sshd: Sshd, sshd_keys: Keys) -> Remote:
    known = f"[127.0.0.1]:{port} {sshd_keys['ed25519'].public}\n".encode()
    return remote_at(f"ssh://{sshd.user}@127.0.0.1:{port}/acme/site.git", known, sshd_keys["user"])


def _relays() -> int:
    return sum(thread.name == "git-relay" for thread in threading.enumerate())


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("passing", "pause_s"),
    [(0, 3600.0), (1_500, 3600.0), (2_600, 3600.0), (4_000, 3600.0), (0, 0.05)],
    ids=["says nothing", "key exchange", "login", "listing", "trickles"],
)
async def test_a_server_that_stalls_keeps_neither_caller_nor_thread(
    passing: int, pause_s: float, *, repository: Repository, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    await commit_to(repository, {"large": os.urandom(200_000)})
    loop = asyncio.get_running_loop()
    async with _before(sshd, passing=passing, pause_s=pause_s) as port:
        async with Mirrors(tmp_path / "mirrors", timeout_s=0.8) as mirrors:
            began = loop.time()
            with pytest.raises(TransientError, match=r"not done within 0.8 s|went silent"):
                await mirrors.fetch(_remote(port, sshd, sshd_keys), MAIN)
            assert loop.time() - began < 4.5
        assert loop.time() - began < 6, "and the threads have ended"
    assert _relays() == 0


@pytest.mark.timeout(30)
async def test_a_fetch_that_nobody_waits_for_ends_at_once(
    repository: Repository, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    """It would take the server a minute and more to say the key it has."""
    commit = await commit_to(repository, {"a": b"1"})
    loop = asyncio.get_running_loop()
    async with _before(sshd, passing=0, pause_s=0.2) as port, Mirrors(tmp_path / "mirrors") as mirrors:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await mirrors.fetch(_remote(port, sshd, sshd_keys), MAIN)
        began = loop.time()
        direct = remote_at(repository.url, sshd.known_hosts(sshd_keys["ed25519"]), sshd_keys["user"])
        assert await mirrors.fetch(direct, MAIN) == commit
        await mirrors.close()
        assert loop.time() - began < 6


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
async def test_a_server_that_is_not_there_is_said(host: str, sshd_keys: Keys, tmp_path: Path) -> None:
    name = "[127.0.0.1]:1" if ":" in host else host
    known = f"{name} {sshd_keys['ed25519'].public}\n".encode()
    async with Mirrors(tmp_path / "mirrors") as mirrors:
        with pytest.raises(TransientError, match=r"the server cannot be reached: .*; it is tried again"):
            await mirrors.tip(remote_at(f"ssh://git@{host}/acme/site", known, sshd_keys["user"]), MAIN)


async def test_a_server_that_hangs_up_is_tried_again(sshd_keys: Keys, tmp_path: Path) -> None:
    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known = f"[127.0.0.1]:{port} {sshd_keys['ed25519'].public}\n".encode()
    async with server, Mirrors(tmp_path / "mirrors") as mirrors:
        with pytest.raises(TransientError, match="it is tried again"):
            await mirrors.tip(remote_at(f"ssh://git@127.0.0.1:{port}/x", known, sshd_keys["user"]), MAIN)


async def test_a_broken_mirror_is_made_anew_over_ssh(
    repository: Repository, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    remote = remote_at(repository.url, sshd.known_hosts(sshd_keys["ed25519"]), sshd_keys["user"])
    await commit_to(repository, {"a": b"1"})
    async with Mirrors(tmp_path / "mirrors") as mirrors:
        await mirrors.fetch(remote, MAIN)
        for pack in await asyncio.to_thread(lambda: list((tmp_path / "mirrors").rglob("*.pack"))):
            await asyncio.to_thread(os.truncate, pack, 20)
    commit = await commit_to(repository, {"a": b"2"})
    async with Mirrors(tmp_path / "mirrors") as mirrors:
        assert await mirrors.fetch(remote, MAIN) == commit


async def test_files_of_the_secret_are_read_at_each_fetch(
    repository: Repository, sshd: Sshd, sshd_keys: Keys, tmp_path: Path
) -> None:
    """A rotated key and a mended known_hosts count at the next one, without a restart."""
    commit = await commit_to(repository, {"a": b"1"})
    secret = tmp_path / "secrets" / "site"

    def write(identity: str, host_key: str) -> None:
        secret.mkdir(parents=True, exist_ok=True)
        (secret / "identity").write_bytes(sshd_keys[identity].private)
        (secret / "known_hosts").write_bytes(sshd.known_hosts(sshd_keys[host_key]))

    async def fetch() -> str:
        remote = await asyncio.to_thread(read_remote, repository.url, tmp_path / "secrets", "site")
        return await mirrors.fetch(remote, MAIN)

    async with Mirrors(tmp_path / "mirrors") as mirrors:
        await asyncio.to_thread(write, "user", "ecdsa")
        assert await fetch() == commit
        await asyncio.to_thread(sshd.authorize, sshd_keys["other"])
        with pytest.raises(AccessDeniedError):
            await fetch()
        await asyncio.to_thread(write, "other", "user")
        with pytest.raises(HostKeyError):
            await fetch()
        await asyncio.to_thread(write, "other", "rsa")
        assert await fetch() == commit
