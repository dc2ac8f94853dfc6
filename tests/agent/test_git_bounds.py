"""Trees that are too large: what a committer gets for nothing is refused before it costs the agent anything."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.directory import DirectoryTarget
from agent.adapters.git import Mirrors, reader
from agent.core import bounds
from agent.core.bounds import Tally, TreeTooLargeError
from agent.core.tree import EntryMode
from agent.ports.git import Remote
from agent.ports.target import TargetError
from bellpull.contract.text import TreePath
from tests.agent.mirrored import MAIN, commit_to
from tests.parts.git import Link, Repository


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


def nest(repository: Repository, leaf: str, *, wide: int, deep: int) -> None:
    """Put on `main` a folder in a folder, `deep` times, each `wide` times beside itself, round `leaf` of mktree."""
    tree = repository.git("mktree", stdin=leaf.encode())
    for _ in range(deep):
        lines = "".join(f"040000 tree {tree}\t{n}\n" for n in range(wide))
        tree = repository.git("mktree", stdin=lines.encode())
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    repository.branch("main", repository.git(*author, "commit-tree", "-m", "nested", tree))


async def refused(mirrors: Mirrors, repository: Repository, site: Path) -> str:
    """Apply the tip of `main` to `site`, and return why the target refuses it for good."""
    remote = Remote(url=repository.url)
    commit = await mirrors.fetch(remote, MAIN)
    tree = await mirrors.tree(remote, commit, TreePath(""))
    assert tree is not None
    async with DirectoryTarget(site) as target:
        with mirrors.reader(remote, tree) as reader, pytest.raises(TargetError) as error:
            await target.apply(commit, tree, reader)
    assert error.value.permanent
    assert not await asyncio.to_thread(os.path.lexists, site)
    return str(error.value)


@pytest.mark.parametrize(
    ("leaf", "wide", "deep", "why"),
    [
        ("100644 blob {blob}\tfile\n", 10, 7, "more than 200000 files and folders"),
        ("", 10, 7, "more than 200000 files and folders"),
        ("100644 blob {blob}\tfile\n", 1, 250, "more than 200 levels deep"),
        ("100644 blob {blob}\t" + "x" * 10_000 + "\n", 10, 4, "paths and links have more than 33554432 bytes"),
    ],
    ids=["equal files", "equal empty folders", "a deep folder", "a long name"],
)
async def test_a_bomb_is_refused_at_once(
    leaf: str, wide: int, deep: int, why: str, *, mirrors: Mirrors, repository: Repository, tmp_path: Path
) -> None:
    """A pack of a few hundred bytes with ten million files; the time would be minutes, and the memory gigabytes."""

    def prepare() -> None:
        blob = repository.git("hash-object", "-w", "--stdin", stdin=b"x")
        nest(repository, leaf.format(blob=blob), wide=wide, deep=deep)

    await asyncio.to_thread(prepare)
    started = time.monotonic()
    said = await refused(mirrors, repository, tmp_path / "site")
    assert said.startswith("TreeTooLarge: ")
    assert why in said
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("bound", "value", "files", "why"),
    [
        ("MAX_FILE_BYTES", 999, {"a": b"x" * 1000}, "a file has 1000 bytes, and 999 is the most"),
        ("MAX_TOTAL_BYTES", 1999, {"a": b"x" * 1000, "b": b"x" * 1000}, "files have more than 1999 bytes"),
        ("MAX_LINK", 4095, {"a": Link(b"x" * 4096)}, "a link has a target of 4096 bytes, and 4095 is the most"),
        ("MAX_NAME_BYTES", 1999, {"a": Link(b"x" * 999), "b": Link(b"x" * 999)}, "paths and links have more than"),
    ],
)
async def test_what_files_and_links_hold_is_bounded_before_it_is_read(
    bound: str,
    value: int,
    files: dict[str, bytes | None],
    why: str,
    *,
    mirrors: Mirrors,
    repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, bound, value)
    await commit_to(repository, files)
    assert why in await refused(mirrors, repository, tmp_path / "site")


async def test_no_folder_on_the_way_to_the_path_is_read_before_its_size(
    mirrors: Mirrors, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_NAME_BYTES", 999)
    files: dict[str, bytes | None] = {f"{n}{'x' * 50}": b"1" for n in range(20)}
    await commit_to(repository, {"public/index.html": b"1", **files})
    remote = Remote(url=repository.url)
    commit = await mirrors.fetch(remote, MAIN)
    with pytest.raises(TreeTooLargeError, match="a folder of the tree lists more than 999 bytes"):
        await mirrors.tree(remote, commit, TreePath("public"))
    assert await mirrors.tree(remote, commit, TreePath("")) is not None, "of the folder itself only its id is asked"


def test_a_tree_at_its_bounds_is_none_too_large() -> None:
    tally = Tally()
    for _ in range(bounds.MAX_TOTAL_BYTES // bounds.MAX_FILE_BYTES):
        tally.content(EntryMode.FILE, bounds.MAX_FILE_BYTES)
    tally.entry(b"a/" * bounds.MAX_DEPTH + b"x")
    for _ in range(bounds.MAX_ENTRIES - 1):
        tally.entry(b"x")
    tally.names(bounds.MAX_NAME_BYTES - 2 * bounds.MAX_DEPTH - bounds.MAX_ENTRIES)
    with pytest.raises(TreeTooLargeError):
        tally.entry(b"")
    with pytest.raises(TreeTooLargeError):
        tally.names(1)
    with pytest.raises(TreeTooLargeError):
        tally.content(EntryMode.FILE, 1)
