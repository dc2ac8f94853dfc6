"""The mirrors, against the real `git http-backend`."""

import asyncio
import os
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from agent.adapters.git import Mirrors
from agent.core.ancestry import Ancestry
from agent.core.tree import EntryMode
from agent.ports.git import (
    AccessDeniedError,
    GitError,
    RefGoneError,
    Remote,
    RepositoryGoneError,
    TransientError,
    TreeReader,
)
from bellpull.cli.demo.git_server import GitServer
from bellpull.contract.repository import Ref
from bellpull.contract.text import CommitId, TreePath
from bellpull.runtime import http
from bellpull.runtime.config import Address
from bellpull.runtime.secret import Secret
from tests.parts.git import Executable, Link, Repository
from tests.parts.proxy import Proxy

MAIN = Ref.parse("refs/heads/main")
NOWHERE = CommitId("ab" * 20)
PASSWORD = "correct-horse"


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


@pytest.fixture
def remote(repository: Repository) -> Remote:
    return Remote(url=repository.url)


async def _read(mirrors: Mirrors, remote: Remote, commit: CommitId, path: str = "") -> dict[bytes, bytes]:
    tree = await mirrors.tree(remote, commit, TreePath(path))
    assert tree is not None
    with mirrors.reader(remote, tree) as reader:
        return await asyncio.to_thread(_contents, reader)


def _contents(reader: TreeReader) -> dict[bytes, bytes]:
    return {entry.path: reader.blob(entry.oid) for entry in reader.entries if entry.mode is not EntryMode.GITLINK}


async def _commit(repository: Repository, files: dict[str, bytes | None], **options: Any) -> CommitId:
    return await asyncio.to_thread(repository.commit, files, **options)


async def test_the_first_fetch_brings_every_file_as_it_is(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    files = {
        "index.html": b"hello",
        "bin/run": Executable(b"#!/bin/sh"),
        "bin/link": Link(b"run"),
        "a b/\u00e9": b"\0",
    }
    commit = await _commit(repository, dict(files))
    assert await mirrors.tip(remote, MAIN) == commit
    assert await mirrors.fetch(remote, MAIN) == commit
    assert await _read(mirrors, remote, commit) == {path.encode(): bytes(content) for path, content in files.items()}
    tree = await mirrors.tree(remote, commit, TreePath("bin"))
    assert tree is not None
    with mirrors.reader(remote, tree) as reader:
        modes = {entry.path: entry.mode for entry in await asyncio.to_thread(lambda: reader.entries)}
    assert modes == {b"run": EntryMode.EXECUTABLE, b"link": EntryMode.LINK}


async def test_a_path_that_is_no_folder_is_gone(mirrors: Mirrors, repository: Repository, remote: Remote) -> None:
    commit = await _commit(repository, {"public/index.html": b"1"})
    await mirrors.fetch(remote, MAIN)
    assert await _read(mirrors, remote, commit, "public") == {b"index.html": b"1"}
    for path in ("absent", "public/index.html", "public/absent"):
        assert await mirrors.tree(remote, commit, TreePath(path)) is None


async def test_later_fetches_follow_pushes_and_forced_pushes(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    first = await _commit(repository, {"a": b"1"})
    assert await mirrors.fetch(remote, MAIN) == first
    second = await _commit(repository, {"a": b"2", "b": b"2"})
    assert await mirrors.fetch(remote, MAIN) == second
    forced = await _commit(repository, {"a": b"3"}, parent=first)
    assert await mirrors.fetch(remote, MAIN) == forced
    assert await _read(mirrors, remote, forced) == {b"a": b"3"}
    await asyncio.to_thread(repository.force_push, "main", first)
    assert await mirrors.fetch(remote, MAIN) == first


async def test_a_tip_that_is_there_costs_one_request(
    mirrors: Mirrors, repository: Repository, remote: Remote, git_server: GitServer
) -> None:
    await _commit(repository, {"a": b"1"})
    await mirrors.fetch(remote, MAIN)
    before = git_server.requests
    await mirrors.fetch(remote, MAIN)
    assert git_server.requests == before + 1


@pytest.mark.parametrize("annotated", [False, True])
async def test_a_tag_is_its_commit(
    annotated: bool,
    mirrors: Mirrors,
    repository: Repository,
    remote: Remote,
) -> None:
    commit = await _commit(repository, {"a": b"1"})
    await asyncio.to_thread(repository.tag, "v1", commit, annotated=annotated)
    tag = Ref.parse("refs/tags/v1")
    assert await mirrors.tip(remote, tag) == commit
    assert await mirrors.fetch(remote, tag) == commit
    assert await _read(mirrors, remote, commit) == {b"a": b"1"}


async def test_a_ref_that_was_deleted_is_gone_and_what_was_fetched_stays(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    commit = await _commit(repository, {"a": b"1"}, branch="release")
    release = Ref.parse("refs/heads/release")
    await mirrors.fetch(remote, release)
    await asyncio.to_thread(repository.delete_branch, "release")
    for ask in (mirrors.fetch, mirrors.tip):
        with pytest.raises(RefGoneError, match="no branch release"):
            await ask(remote, release)
    assert await _read(mirrors, remote, commit) == {b"a": b"1"}
    nested = await _commit(repository, {"a": b"2"}, branch="release/2")
    assert await mirrors.fetch(remote, Ref.parse("refs/heads/release/2")) == nested


async def test_a_repository_that_is_not_there_is_gone(mirrors: Mirrors, git_server: GitServer) -> None:
    with pytest.raises(RepositoryGoneError, match=r"/acme/none\.git: there is no such repository"):
        await mirrors.fetch(Remote(url=f"{git_server.url}/acme/none.git"), MAIN)


@pytest.mark.usefixtures("git_programs")
async def test_only_the_right_password_gets_in_and_no_password_gets_out(
    mirrors: Mirrors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = await asyncio.to_thread(Repository, tmp_path / "git")
    commit = await _commit(repository, {"a": b"1"})
    async with GitServer(tmp_path / "git", username="ada", password=PASSWORD) as server:
        url = f"{server.url}/acme/site.git"
        with_user = url.replace("//", f"//ada:{PASSWORD}@")
        for right in (Remote(url=url, username="ada", password=Secret(PASSWORD.encode())), Remote(url=with_user)):
            assert await mirrors.fetch(right, MAIN) == commit
        for wrong in (
            Remote(url=url),
            Remote(url=url, username="ada", password=Secret(b"wrong-" + PASSWORD.encode())),
            Remote(url=with_user, username="eve"),
        ):
            with pytest.raises(AccessDeniedError, match="secretRef") as denied:
                await mirrors.fetch(wrong, MAIN)
            assert PASSWORD not in f"{denied.value!r} {denied.value.__cause__!r} {wrong.password!r}"
        with pytest.raises(RefGoneError) as gone:
            await mirrors.fetch(Remote(url=with_user), Ref.parse("refs/heads/none"))
        assert PASSWORD not in str(gone.value)
    with pytest.raises(TransientError) as unreachable:
        await mirrors.fetch(Remote(url=with_user), MAIN)
    assert PASSWORD not in str(unreachable.value)
    assert PASSWORD not in caplog.text
    kept = await asyncio.to_thread(
        lambda: b"".join(p.read_bytes() for p in tmp_path.rglob("mirrors/**/*") if p.is_file())
    )
    assert PASSWORD.encode() not in kept


async def test_a_shallow_boundary_is_never_a_no(mirrors: Mirrors, repository: Repository, remote: Remote) -> None:
    """X1: at depth 1 a normal push looks as if history had been rewritten."""
    commits = await asyncio.to_thread(repository.commits, 1100)
    tip = await mirrors.fetch(remote, MAIN)
    assert tip == commits[-1]
    assert await mirrors.relation(remote, MAIN, tip, tip) is Ancestry.SAME
    assert await mirrors.relation(remote, MAIN, tip, commits[-10]) is Ancestry.CONTAINS
    assert await mirrors.relation(remote, MAIN, tip, commits[-60]) is Ancestry.CONTAINS
    assert await mirrors.relation(remote, MAIN, tip, commits[0]) is Ancestry.UNKNOWN
    assert await mirrors.relation(remote, MAIN, tip, NOWHERE) is Ancestry.UNKNOWN
    later = await _commit(repository, {"a": b"1"})
    assert await mirrors.fetch(remote, MAIN) == later
    assert await mirrors.relation(remote, MAIN, later, commits[-60]) is Ancestry.CONTAINS


async def test_what_was_rewritten_is_a_no_once_all_history_was_seen(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    commits = await asyncio.to_thread(repository.commits, 60)
    assert await mirrors.fetch(remote, MAIN) == commits[-1]
    forced = await _commit(repository, {"a": b"1"}, parent=commits[-3])
    tip = await mirrors.fetch(remote, MAIN)
    assert tip == forced
    assert await mirrors.relation(remote, MAIN, tip, commits[-1]) is Ancestry.DIVERGED
    assert await mirrors.relation(remote, MAIN, tip, commits[-3]) is Ancestry.CONTAINS


async def test_what_is_in_the_mirror_is_answered_from_it(
    mirrors: Mirrors, repository: Repository, remote: Remote, git_server: GitServer
) -> None:
    """The tip before a push of one commit is the parent of the next: no deepening for a normal push."""
    await asyncio.to_thread(repository.commits, 60)
    before = await mirrors.fetch(remote, MAIN)
    await _commit(repository, {"a": b"1"})
    tip = await mirrors.fetch(remote, MAIN)
    asked = git_server.requests
    assert await mirrors.relation(remote, MAIN, tip, before) is Ancestry.CONTAINS
    assert git_server.requests == asked


async def _ruin_packs(folder: Path) -> None:
    for pack in await asyncio.to_thread(lambda: list(folder.rglob("*.pack"))):
        pack.chmod(0o600)
        await asyncio.to_thread(pack.write_bytes, b"\0" * pack.stat().st_size)


async def _forget_objects(folder: Path) -> None:
    for objects in await asyncio.to_thread(lambda: list(folder.rglob("objects"))):
        await asyncio.to_thread(shutil.rmtree, objects)


async def _cut_config(folder: Path) -> None:
    for config in await asyncio.to_thread(lambda: list(folder.rglob("config"))):
        await asyncio.to_thread(config.write_bytes, b"[core")


@pytest.mark.parametrize("ruin", [_ruin_packs, _forget_objects, _cut_config])
async def test_a_broken_mirror_is_made_anew(
    ruin: Any, repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    await _commit(repository, {"a": b"1"})
    async with Mirrors(tmp_path / "broken") as mirrors:
        await mirrors.fetch(remote, MAIN)
    await ruin(tmp_path / "broken")
    commit = await _commit(repository, {"a": b"2"})
    async with Mirrors(tmp_path / "broken") as mirrors:
        assert await mirrors.fetch(remote, MAIN) == commit
        assert await _read(mirrors, remote, commit) == {b"a": b"2"}


async def test_a_mirror_that_lost_a_file_says_so_and_the_next_fetch_brings_it_back(
    mirrors: Mirrors, repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    commit = await _commit(repository, {"a": b"1"})
    await mirrors.fetch(remote, MAIN)
    await _forget_objects(tmp_path / "mirrors")
    with pytest.raises(TransientError, match="the mirror of it is broken"):
        await mirrors.tree(remote, commit, TreePath(""))
    assert await mirrors.fetch(remote, MAIN) == commit
    assert await _read(mirrors, remote, commit) == {b"a": b"1"}


async def test_a_silent_server_ends_in_time_and_the_loop_goes_on(tmp_path: Path) -> None:
    over = asyncio.Event()
    worst_s = 0.0

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async def tick() -> None:
        nonlocal worst_s
        loop = asyncio.get_running_loop()
        while not over.is_set():
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            worst_s = max(worst_s, loop.time() - due)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    remote = Remote(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/acme/site.git")
    loop = asyncio.get_running_loop()
    async with Mirrors(tmp_path / "mirrors", timeout_s=0.5) as mirrors, asyncio.TaskGroup() as tasks:
        tasks.create_task(tick())
        began = loop.time()
        with pytest.raises(TransientError, match=r"silent|not done within"):
            await mirrors.fetch(remote, MAIN)
        assert loop.time() - began < 1.5
        over.set()
    server.close()
    await server.wait_closed()
    assert worst_s < 0.25


async def test_cancelling_a_fetch_frees_the_mirror(
    repository: Repository, remote: Remote, git_server: GitServer, tmp_path: Path
) -> None:
    commit = await _commit(repository, {"a": bytes(1_000_000)})
    async with Mirrors(tmp_path / "mirrors") as mirrors:
        for delay_s in (0.0, 0.002, 0.01):
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await mirrors.fetch(remote, MAIN)
        assert await mirrors.fetch(remote, MAIN) == commit
    assert git_server.requests


async def test_many_remotes_at_once(mirrors: Mirrors, git_server: GitServer, tmp_path: Path) -> None:
    def make(number: int) -> tuple[Remote, CommitId]:
        made = Repository(tmp_path / "git", f"acme/{number}", git_server.url)
        return Remote(url=made.url), made.commit({"number": b"%d" % number})

    made = [await asyncio.to_thread(make, number) for number in range(8)]
    async with asyncio.TaskGroup() as tasks:
        fetching = [tasks.create_task(mirrors.fetch(remote, MAIN)) for remote, _ in made * 2]
    assert [task.result() for task in fetching] == [commit for _, commit in made * 2]


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


@pytest.mark.parametrize(("host", "follows"), [("127.0.0.1", True), ("localhost", False)])
async def test_a_redirect_is_followed_on_the_same_host_only(
    host: str,
    follows: bool,
    mirrors: Mirrors,
    repository: Repository,
    git_server: GitServer,
) -> None:
    commit = await _commit(repository, {"a": b"1"})

    async def move(request: web.Request) -> web.Response:
        there = git_server.url.replace("127.0.0.1", host)
        return web.Response(
            status=301, headers={"Location": f"{there}/acme/site.git{request.path_qs[len('/old') :]}"}
        )

    app = web.Application()
    app.router.add_get("/{path:.*}", move)
    async with http.serve(app, Address(host="127.0.0.1", port=0), name="git") as address:
        remote = Remote(url=f"http://{address}/old")
        if follows:
            assert await mirrors.fetch(remote, MAIN) == commit
        else:
            asked = git_server.requests
            with pytest.raises(TransientError, match="set the URL to where it leads"):
                await mirrors.fetch(remote, MAIN)
            assert git_server.requests == asked


_ASK = """
import asyncio, sys
from pathlib import Path
from agent.adapters.git import Mirrors
from agent.ports.git import GitError, Remote
from bellpull.contract.repository import Ref

async def ask(url, folder, ca):
    async with Mirrors(Path(folder), ca=Path(ca) if ca else None, timeout_s=10) as mirrors:
        try:
            print(await mirrors.fetch(Remote(url=url), Ref.parse("refs/heads/main")))
        except GitError as error:
            print(error)

asyncio.run(ask(*sys.argv[1:]))
"""


async def _ask(url: str, folder: Path, ca: str = "", **environment: str) -> str:
    """Fetch in a process of its own: trust and proxies are settings of a whole process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _ASK, url, str(folder), ca),
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said.decode().strip()


@pytest.mark.usefixtures("git_programs")
async def test_tls_is_verified_and_proxies_are_gone_through(tmp_path: Path) -> None:
    """Only the authority in `ca`, beside the system's, is trusted; HTTPS_PROXY and NO_PROXY are honoured."""
    authority, other = trustme.CA(), trustme.CA()
    ca, wrong = tmp_path / "ca.pem", tmp_path / "wrong.pem"
    for made, path in ((authority, ca), (other, wrong)):
        await asyncio.to_thread(path.write_bytes, made.cert_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    commit = await _commit(await asyncio.to_thread(Repository, tmp_path / "git"), {"a": b"1"})
    async with GitServer(tmp_path / "git", ssl_context=context) as server, Proxy() as proxy:
        url = f"{server.url}/acme/site.git"
        assert await _ask(url, tmp_path / "m", str(ca)) == commit
        for untrusted in ("", str(wrong)):
            assert "its certificate is not trusted" in await _ask(url, tmp_path / "m", untrusted)
        other_name = url.replace("127.0.0.1", "localhost")
        assert "its certificate is not trusted" in await _ask(other_name, tmp_path / "m", str(ca))
        assert proxy.targets == []
        assert await _ask(url, tmp_path / "m", str(ca), HTTPS_PROXY=proxy.url, NO_PROXY="127.0.0.1") == commit
        assert proxy.targets == []
        assert await _ask(url, tmp_path / "m", str(ca), HTTPS_PROXY=proxy.url) == commit
        assert set(proxy.targets) == {server.url.removeprefix("https://")}


async def test_the_users_own_git_configuration_takes_no_part(
    repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    commit = await _commit(repository, {"a": b"1"})
    elsewhere = f'[url "http://127.0.0.1:1/"]\n\tinsteadOf = {remote.url.removesuffix("/acme/site.git")}/\n'
    await asyncio.to_thread((tmp_path / ".gitconfig").write_text, elsewhere)
    assert await _ask(remote.url, tmp_path / "m", HOME=str(tmp_path)) == commit


async def test_credentials_are_not_given_to_another_port(
    mirrors: Mirrors, tmp_path: Path, repository: Repository
) -> None:
    await _commit(repository, {"a": b"1"})
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(GitServer(tmp_path / "git", username="ada", password=PASSWORD))

        async def move(request: web.Request) -> web.Response:
            return web.Response(status=301, headers={"Location": f"{asking.url}{request.path_qs}"})

        app = web.Application()
        app.router.add_get("/{path:.*}", move)
        address = await stack.enter_async_context(http.serve(app, Address(host="127.0.0.1", port=0), name="git"))
        remote = Remote(url=f"http://{address}/acme/site.git", username="ada", password=Secret(PASSWORD.encode()))
        with pytest.raises(AccessDeniedError, match="somewhere else"):
            await mirrors.fetch(remote, MAIN)
