"""Mirrors that break, servers that are silent, slow or wrong, and callers who give up."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from agent.adapters.git import Mirrors
from agent.ports.git import AccessDeniedError, GitError, Remote, RepositoryGoneError, TransientError
from bellpull.cli.demo.git_server import GitServer
from bellpull.contract.text import TreePath
from bellpull.runtime import http
from bellpull.runtime.address import Address
from tests.agent.mirrored import MAIN, commit_to, contents
from tests.parts.git import Repository
from tests.parts.proxy import copy


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


@pytest.fixture
def remote(repository: Repository) -> Remote:
    return Remote(url=repository.url)


async def _ruin_packs(folder: Path) -> None:
    for pack in await asyncio.to_thread(lambda: list(folder.rglob("*.pack"))):
        pack.chmod(0o600)
        await asyncio.to_thread(pack.write_bytes, b"\0" * pack.stat().st_size)


async def _cut_packs(folder: Path) -> None:
    for pack in await asyncio.to_thread(lambda: list(folder.rglob("*.pack"))):
        pack.chmod(0o600)
        await asyncio.to_thread(os.truncate, pack, 20)


async def _forget_objects(folder: Path) -> None:
    for objects in await asyncio.to_thread(lambda: list(folder.rglob("objects"))):
        await asyncio.to_thread(shutil.rmtree, objects)


async def _cut_config(folder: Path) -> None:
    for config in await asyncio.to_thread(lambda: list(folder.rglob("config"))):
        await asyncio.to_thread(config.write_bytes, b"[core")


@pytest.mark.parametrize("ruin", [_ruin_packs, _cut_packs, _forget_objects, _cut_config])
async def test_a_broken_mirror_is_made_anew(
    ruin: Any, repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    await commit_to(repository, {"a": b"1"})
    async with Mirrors(tmp_path / "broken") as mirrors:
        await mirrors.fetch(remote, MAIN)
    await ruin(tmp_path / "broken")
    commit = await commit_to(repository, {"a": b"2"})
    async with Mirrors(tmp_path / "broken") as mirrors:
        assert await mirrors.fetch(remote, MAIN) == commit
        assert await contents(mirrors, remote, commit) == {b"a": b"2"}


async def test_a_mirror_that_lost_a_file_says_so_and_the_next_fetch_brings_it_back(
    mirrors: Mirrors, repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    await mirrors.fetch(remote, MAIN)
    await _forget_objects(tmp_path / "mirrors")
    with pytest.raises(TransientError, match="the mirror of it is broken"):
        await mirrors.tree(remote, commit, TreePath(""))
    assert await mirrors.fetch(remote, MAIN) == commit
    assert await contents(mirrors, remote, commit) == {b"a": b"1"}


@asynccontextmanager
async def _ticking() -> AsyncIterator[Callable[[], float]]:
    """Tick every 10 ms meanwhile; gives how late the latest tick was, in seconds."""
    over, worst_s = asyncio.Event(), 0.0

    async def tick() -> None:
        nonlocal worst_s
        loop = asyncio.get_running_loop()
        while not over.is_set():
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            worst_s = max(worst_s, loop.time() - due)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tick())
        try:
            yield lambda: worst_s
        finally:
            over.set()


@asynccontextmanager
async def _talking(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve connections with `talk`, and yield the URL; at the end all of them have ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.create_task(serve(reader, writer))

    async with asyncio.TaskGroup() as talks:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


def _slowly(server: str) -> AbstractAsyncContextManager[str]:
    """Serve what `server` does, at 200 kB/s; yields the URL."""
    far = URL(server)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(far.host, far.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(copy(reader, far_writer))
            with suppress(ConnectionError):
                while chunk := await far_reader.read(4096):
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0.02)
            writer.close()

    return _talking(trickle)


async def test_a_silent_server_ends_in_time_and_the_loop_goes_on(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await over.wait()

    loop = asyncio.get_running_loop()
    async with _talking(silent) as url, Mirrors(tmp_path / "mirrors", timeout_s=0.5) as mirrors, _ticking() as late:
        began = loop.time()
        with pytest.raises(TransientError, match=r"silent|not done within"):
            await mirrors.fetch(Remote(url=f"{url}/acme/site.git"), MAIN)
        over.set()
        assert loop.time() - began < 1.5
        assert late() < 0.25


@pytest.mark.timeout(20)
async def test_a_slow_server_ends_in_time_and_keeps_no_thread(
    repository: Repository, git_server: GitServer, tmp_path: Path
) -> None:
    """Each byte resets what a silent server may be; the whole has an end nevertheless, for the thread too."""
    await commit_to(repository, {"large": os.urandom(2_000_000)})
    loop = asyncio.get_running_loop()
    async with _slowly(git_server.url) as url, _ticking() as late:
        async with Mirrors(tmp_path / "mirrors", timeout_s=1) as mirrors:
            began = loop.time()
            with pytest.raises(TransientError, match="not done within 1 s"):
                await mirrors.fetch(Remote(url=f"{url}/acme/site.git"), MAIN)
        assert loop.time() - began < 3
        assert late() < 0.25


@pytest.mark.timeout(20)
async def test_a_fetch_that_nobody_waits_for_makes_nobody_wait(
    mirrors: Mirrors, repository: Repository, git_server: GitServer
) -> None:
    """To its end it would take ten seconds."""
    commit = await commit_to(repository, {"large": os.urandom(2_000_000)})
    loop = asyncio.get_running_loop()
    async with _slowly(git_server.url) as url:
        remote = Remote(url=f"{url}/acme/site.git")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await mirrors.fetch(remote, MAIN)
        began = loop.time()
        assert await mirrors.tip(remote, MAIN) == commit
        assert loop.time() - began < 3


async def test_cancelling_a_fetch_frees_the_mirror(
    repository: Repository, remote: Remote, git_server: GitServer, tmp_path: Path
) -> None:
    commit = await commit_to(repository, {"a": bytes(1_000_000)})
    async with Mirrors(tmp_path / "mirrors") as mirrors:
        for delay_s in (0.0, 0.002, 0.01):
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await mirrors.fetch(remote, MAIN)
        assert await mirrors.fetch(remote, MAIN) == commit
    assert git_server.requests


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (404, RepositoryGoneError),
        (410, RepositoryGoneError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
        (200, TransientError),
    ],
)
async def test_what_a_server_answers_is_the_kind_of_error(
    status: int, kind: type[GitError], mirrors: Mirrors
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=b"", content_type="text/plain")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with http.serve(app, Address(host="127.0.0.1", port=0), name="git") as address:
        with pytest.raises(kind, match=f"http://{address}/acme/site: ") as raised:
            await mirrors.fetch(Remote(url=f"http://{address}/acme/site"), MAIN)
    assert type(raised.value) is kind


async def test_a_repository_with_longer_ids_is_refused_in_plain_words(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path
) -> None:
    repository = await asyncio.to_thread(Repository, tmp_path / "git", "acme/long", git_server.url, ids="sha256")
    await commit_to(repository, {"a": b"1"})
    for _ in range(2):
        with pytest.raises(GitError, match="only repositories with SHA-1 ids can be fetched"):
            await mirrors.fetch(Remote(url=repository.url), MAIN)
