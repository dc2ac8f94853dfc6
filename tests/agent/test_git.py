"""The mirrors, against the real `git http-backend`."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.git import Mirrors
from agent.core.ancestry import Ancestry
from agent.core.tree import EntryMode
from agent.ports.git import (
    RefGoneError,
    Remote,
    RepositoryGoneError,
)
from bellpull.cli.demo.git_server import GitServer
from bellpull.contract.repository import Ref
from bellpull.contract.text import CommitId, TreePath
from tests.agent.mirrored import MAIN, commit_to, contents
from tests.parts.git import Executable, Link, Repository

NOWHERE = CommitId("ab" * 20)


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


@pytest.fixture
def remote(repository: Repository) -> Remote:
    return Remote(url=repository.url)


async def test_the_first_fetch_brings_every_file_as_it_is(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    files = {
        "index.html": b"hello",
        "bin/run": Executable(b"#!/bin/sh"),
        "bin/link": Link(b"run"),
        "a b/\u00e9": b"\0",
    }
    commit = await commit_to(repository, dict(files))
    assert await mirrors.tip(remote, MAIN) == commit
    assert await mirrors.fetch(remote, MAIN) == commit
    assert await contents(mirrors, remote, commit) == {
        path.encode(): bytes(content) for path, content in files.items()
    }
    tree = await mirrors.tree(remote, commit, TreePath("bin"))
    assert tree is not None
    with mirrors.reader(remote, tree) as reader:
        modes = {entry.path: entry.mode for entry in await asyncio.to_thread(lambda: reader.entries)}
    assert modes == {b"run": EntryMode.EXECUTABLE, b"link": EntryMode.LINK}


async def test_names_are_bytes_and_a_submodule_is_an_entry(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    commit = await commit_to(repository, {os.fsdecode(b"d/\xff\xfe"): b"1", os.fsdecode(b"\xe4"): b"2"})
    await asyncio.to_thread(repository.add_submodule, "d/sub", NOWHERE)
    commit = await mirrors.fetch(remote, MAIN)
    tree = await mirrors.tree(remote, commit, TreePath("d"))
    assert tree is not None
    with mirrors.reader(remote, tree) as reader:
        entries = await asyncio.to_thread(lambda: reader.entries)
    assert {(entry.path, entry.mode) for entry in entries} == {
        (b"\xff\xfe", EntryMode.FILE),
        (b"sub", EntryMode.GITLINK),
    }
    assert next(entry.oid for entry in entries if entry.mode is EntryMode.GITLINK) == NOWHERE


async def test_a_path_that_is_no_folder_is_gone(mirrors: Mirrors, repository: Repository, remote: Remote) -> None:
    commit = await commit_to(repository, {"public/index.html": b"1"})
    await mirrors.fetch(remote, MAIN)
    assert await contents(mirrors, remote, commit, "public") == {b"index.html": b"1"}
    for path in ("absent", "public/index.html", "public/absent"):
        assert await mirrors.tree(remote, commit, TreePath(path)) is None


async def test_later_fetches_follow_pushes_and_forced_pushes(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    first = await commit_to(repository, {"a": b"1"})
    assert await mirrors.fetch(remote, MAIN) == first
    second = await commit_to(repository, {"a": b"2", "b": b"2"})
    assert await mirrors.fetch(remote, MAIN) == second
    forced = await commit_to(repository, {"a": b"3"}, parent=first)
    assert await mirrors.fetch(remote, MAIN) == forced
    assert await contents(mirrors, remote, forced) == {b"a": b"3"}
    await asyncio.to_thread(repository.force_push, "main", first)
    assert await mirrors.fetch(remote, MAIN) == first


async def test_a_tip_that_is_there_costs_one_request(
    mirrors: Mirrors, repository: Repository, remote: Remote, git_server: GitServer
) -> None:
    await commit_to(repository, {"a": b"1"})
    await mirrors.fetch(remote, MAIN)
    before = git_server.requests
    await mirrors.fetch(remote, MAIN)
    assert git_server.requests == before + 1


async def test_a_later_fetch_transfers_only_what_is_new(
    mirrors: Mirrors, repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    """Though every fetch is one commit deep, what the commit before had is not sent again."""
    await commit_to(repository, {"large": os.urandom(500_000)})
    await mirrors.fetch(remote, MAIN)
    sizes = {path: path.stat().st_size for path in await asyncio.to_thread(_packs, tmp_path)}
    await commit_to(repository, {"small": b"1"})
    await mirrors.fetch(remote, MAIN)
    new = [path.stat().st_size for path in await asyncio.to_thread(_packs, tmp_path) if path not in sizes]
    assert sum(sizes.values()) > 500_000
    assert 0 < sum(new) < 1000


def _packs(folder: Path) -> list[Path]:
    return list(folder.glob("mirrors/**/*.pack"))


@pytest.mark.parametrize("annotated", [False, True])
async def test_a_tag_is_its_commit(
    annotated: bool,
    mirrors: Mirrors,
    repository: Repository,
    remote: Remote,
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    await asyncio.to_thread(repository.tag, "v1", commit, annotated=annotated)
    tag = Ref.parse("refs/tags/v1")
    assert await mirrors.tip(remote, tag) == commit
    assert await mirrors.fetch(remote, tag) == commit
    assert await contents(mirrors, remote, commit) == {b"a": b"1"}


@pytest.mark.parametrize("annotated", [False, True])
async def test_a_tag_of_something_else_is_no_ref_to_follow(
    annotated: bool,
    mirrors: Mirrors,
    repository: Repository,
    remote: Remote,
) -> None:
    """Even where the mirror has the folder that it is at."""
    commit = await commit_to(repository, {"a": b"1"})
    await mirrors.fetch(remote, MAIN)
    await asyncio.to_thread(repository.tag, "folder", f"{commit}^{{tree}}", annotated=annotated)
    for _ in range(2):
        with pytest.raises(RefGoneError, match="the tag folder is not at a commit"):
            await mirrors.fetch(remote, Ref.parse("refs/tags/folder"))


async def test_a_ref_that_was_deleted_is_gone_and_what_was_fetched_stays(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    commit = await commit_to(repository, {"a": b"1"}, branch="release")
    release = Ref.parse("refs/heads/release")
    await mirrors.fetch(remote, release)
    await asyncio.to_thread(repository.delete_branch, "release")
    for ask in (mirrors.fetch, mirrors.tip):
        with pytest.raises(RefGoneError, match="no branch release"):
            await ask(remote, release)
    assert await contents(mirrors, remote, commit) == {b"a": b"1"}
    nested = await commit_to(repository, {"a": b"2"}, branch="release/2")
    assert await mirrors.fetch(remote, Ref.parse("refs/heads/release/2")) == nested


async def test_a_repository_that_is_not_there_is_gone(mirrors: Mirrors, git_server: GitServer) -> None:
    with pytest.raises(RepositoryGoneError, match=r"/acme/none\.git: there is no such repository"):
        await mirrors.fetch(Remote(url=f"{git_server.url}/acme/none.git"), MAIN)


async def test_a_shallow_boundary_is_never_a_no(
    mirrors: Mirrors, repository: Repository, remote: Remote, git_server: GitServer
) -> None:
    """X1: at depth 1 a normal push looks as if history had been rewritten."""
    commits = await asyncio.to_thread(repository.commits, 1100)
    tip = await mirrors.fetch(remote, MAIN)
    assert tip == commits[-1]
    assert await mirrors.relation(remote, MAIN, tip, tip) is Ancestry.SAME
    assert await mirrors.relation(remote, MAIN, tip, commits[-10]) is Ancestry.CONTAINS
    assert await mirrors.relation(remote, MAIN, tip, commits[-60]) is Ancestry.CONTAINS
    assert await mirrors.relation(remote, MAIN, tip, commits[0]) is Ancestry.UNKNOWN
    asked = git_server.requests
    assert await mirrors.relation(remote, MAIN, tip, NOWHERE) is Ancestry.UNKNOWN
    assert git_server.requests == asked, "as deep as it goes already"
    later = await commit_to(repository, {"a": b"1"})
    assert await mirrors.fetch(remote, MAIN) == later
    assert await mirrors.relation(remote, MAIN, later, commits[-60]) is Ancestry.CONTAINS


async def test_what_was_rewritten_is_a_no_once_all_history_was_seen(
    mirrors: Mirrors, repository: Repository, remote: Remote
) -> None:
    commits = await asyncio.to_thread(repository.commits, 60)
    assert await mirrors.fetch(remote, MAIN) == commits[-1]
    forced = await commit_to(repository, {"a": b"1"}, parent=commits[-3])
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
    await commit_to(repository, {"a": b"1"})
    tip = await mirrors.fetch(remote, MAIN)
    asked = git_server.requests
    assert await mirrors.relation(remote, MAIN, tip, before) is Ancestry.CONTAINS
    assert git_server.requests == asked


async def test_many_remotes_at_once(mirrors: Mirrors, git_server: GitServer, tmp_path: Path) -> None:
    def make(number: int) -> tuple[Remote, CommitId]:
        made = Repository(tmp_path / "git", f"acme/{number}", git_server.url)
        return Remote(url=made.url), made.commit({"number": b"%d" % number})

    made = [await asyncio.to_thread(make, number) for number in range(8)]
    async with asyncio.TaskGroup() as tasks:
        fetching = [tasks.create_task(mirrors.fetch(remote, MAIN)) for remote, _ in made * 2]
    assert [task.result() for task in fetching] == [commit for _, commit in made * 2]
