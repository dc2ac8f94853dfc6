"""A folder of a commit, read from a mirror in the thread that wants it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import FileMode

from agent.core.bounds import MAX_NAME_BYTES, Tally, TreeTooLargeError
from agent.core.tree import EntryMode, TreeEntry

__all__ = ["READ_ERRORS", "Reader", "opened", "tree_at"]

READ_ERRORS: Final = (pygit2.GitError, KeyError, ValueError, OSError)
"""What libgit2 raises for an object that is not there or broken."""


def opened(path: Path) -> pygit2.Repository:
    """Open the bare repository at `path`, and no other that may be around it."""
    return pygit2.Repository(str(path), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)


class Reader:
    """Satisfies the port's `TreeReader`; opens its own repository when it is first used.

    Args:
        path: the bare repository.
        tree: id of a tree in it.
        broken: called when it cannot be read; returns the error to raise.
    """

    def __init__(self, path: Path, tree: str, broken: Callable[[str], Exception]) -> None:
        self._path = path
        self._tree = tree
        self._broken = broken

    @cached_property
    def entries(self) -> tuple[TreeEntry, ...]:
        """Everything below the folder, counted and its sizes looked up before anything is kept or read."""
        with self._watched():
            return tuple(_walk(self._repository, self._tree))

    def blob(self, oid: str) -> bytes:
        """Return the bytes of the blob `oid`."""
        with self._watched():
            return self._repository.read(oid)[1]

    @cached_property
    def _repository(self) -> pygit2.Repository:
        return opened(self._path)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except READ_ERRORS as error:
            raise self._broken(str(error)) from None


def tree_at(repository: pygit2.Repository, commit: str, path: str) -> str | None:
    """Return the id of the folder `path` of `commit`, None if there is no such folder.

    Raises:
        KeyError: the commit, or a tree on the way, is not in the mirror.
        TreeTooLargeError: a tree on the way is beyond a bound; it was not read.
    """
    found = repository[commit].peel(pygit2.Commit).tree_id
    for part in path.split("/") if path else ():
        entry = next((each for each in _tree(repository, found) if each.name == part), None)
        if entry is None or entry.filemode != FileMode.TREE:
            return None
        found = entry.id
    _size(repository, found)  # it is there
    return str(found)


def _walk(repository: pygit2.Repository, tree: str) -> Iterator[TreeEntry]:
    tally = Tally()
    size = cache(lambda oid: _size(repository, oid))
    todo = [(b"", pygit2.Oid(hex=tree))]
    while todo:
        above, oid = todo.pop()
        for entry in _tree(repository, oid):
            path = above + (entry.raw_name or b"")
            tally.entry(path)
            if entry.filemode == FileMode.TREE:
                todo.append((path + b"/", entry.id))
                continue
            mode = _mode(entry.filemode)
            if mode is not EntryMode.GITLINK:
                tally.content(mode, size(entry.id))
            yield TreeEntry(path=path, mode=mode, oid=str(entry.id))


def _tree(repository: pygit2.Repository, oid: pygit2.Oid) -> pygit2.Tree:
    """Read a tree whose size was looked at before: it is little but names."""
    if _size(repository, oid) > MAX_NAME_BYTES:
        raise TreeTooLargeError(f"a folder of the tree lists more than {MAX_NAME_BYTES} bytes")
    found = repository[oid]
    if not isinstance(found, pygit2.Tree):
        raise ValueError(f"{oid} is not a tree")  # noqa: TRY004 - it is what the mirror holds that is wrong
    return found


def _size(repository: pygit2.Repository, oid: pygit2.Oid) -> int:
    return repository.odb.read_header(oid)[1]


def _mode(mode: int) -> EntryMode:
    """Return the mode; the ones of Git's first days (100664) are files."""
    try:
        return EntryMode(f"{mode:06o}")
    except ValueError:
        return EntryMode.FILE
