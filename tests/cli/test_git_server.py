"""The demo's Git server, spoken to by Git's own client and by others who do not mean well."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from bellpull.cli.demo.git_server import GitServer, GitServerError
from tests import parts
from tests.parts.git import Repository

FETCH = {"Content-Type": "application/x-git-upload-pack-request"}


async def _git(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *("git", *words), env=parts.hermetic(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_git_clones_and_fetches(repository: Repository, tmp_path: Path) -> None:
    await asyncio.to_thread(repository.commits, 200)
    clone = tmp_path / "clone"
    assert await _git("clone", "--quiet", repository.url, str(clone)) == (0, "")
    assert (clone / "count").read_bytes() == b"199"
    await asyncio.to_thread(repository.commit, {"count": b"new"})
    assert await _git("-C", str(clone), "pull", "--quiet") == (0, "")
    assert (clone / "count").read_bytes() == b"new"


async def test_nobody_pushes(repository: Repository, tmp_path: Path) -> None:
    tip = await asyncio.to_thread(repository.commit, {"a": b"1"})
    clone = tmp_path / "clone"
    await _git("clone", "--quiet", repository.url, str(clone))
    code, said = await _git("-C", str(clone), "push", "origin", "main:other")
    assert code
    assert "403" in said
    assert (repository.tip("main"), repository.tip("other")) == (tip, None)


@pytest.mark.parametrize(("user", "code"), [("ada:secret@", 0), ("ada:wrong@", 128), ("", 128)])
@pytest.mark.usefixtures("git_programs")
async def test_only_who_has_the_password_clones(user: str, code: int, tmp_path: Path) -> None:
    await asyncio.to_thread(lambda: Repository(tmp_path / "git").commit({"a": b"1"}))
    async with GitServer(tmp_path / "git", username="ada", password="secret") as server:
        url = server.url.replace("//", f"//{user}") + "/acme/site.git"
        assert (await _git("clone", "--quiet", url, str(tmp_path / "clone")))[0] == code


async def test_a_compressed_request_is_understood(repository: Repository, session: aiohttp.ClientSession) -> None:
    tip = await asyncio.to_thread(repository.commit, {"a": b"1"})
    wanted = gzip.compress(b"0032want " + tip.encode() + b"\n" + b"0000" + b"0009done\n")
    headers = FETCH | {"Content-Encoding": "gzip"}
    async with session.post(f"{repository.url}/git-upload-pack", data=wanted, headers=headers) as answer:
        assert answer.status == 200
        assert (await answer.read()).startswith(b"0008NAK\nPACK")


async def test_a_request_without_end_is_cut_off(repository: Repository, session: aiohttp.ClientSession) -> None:
    await asyncio.to_thread(repository.commit, {"a": b"1"})

    async def much() -> AsyncIterator[bytes]:
        while True:
            yield b"0032want " + b"a" * 40 + b"\n"

    try:
        async with session.post(f"{repository.url}/git-upload-pack", data=much(), headers=FETCH) as answer:
            assert answer.status in (200, 413)
    except aiohttp.ClientError:
        pass  # cut off while it was sending


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/acme/none.git/info/refs?service=git-upload-pack", 404),
        ("/%2e%2e/outside.git/info/refs?service=git-upload-pack", 404),
        ("/acme/site.git/info/refs", 403),
        ("/acme/site.git/info/refs?service=git-receive-pack", 403),
        ("/acme/site.git/config", 403),
        ("/", 403),
    ],
)
async def test_nothing_else_is_served(
    path: str, status: int, repository: Repository, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await asyncio.to_thread(Repository, tmp_path, "outside")
    server = repository.url.removesuffix("/acme/site.git")
    async with session.get(URL(server + path, encoded=True)) as answer:
        assert answer.status == status


async def test_without_git_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitServerError, match="apt-get install git"):
        async with GitServer(tmp_path):
            pass


async def test_without_http_backend_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\necho /nowhere\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitServerError, match="/nowhere/git-http-backend is not there"):
        async with GitServer(tmp_path):
            pass
