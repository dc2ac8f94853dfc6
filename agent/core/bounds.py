"""How large a tree may be. Nested trees that are equal cost a committer nothing, and whoever walks them all.

The bounds are far beyond what is published from Git, and small enough that a tree within them harms no other Sync.
"""

from typing import Final

from agent.core.tree import EntryMode

__all__ = [
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "MAX_FILE_BYTES",
    "MAX_LINK",
    "MAX_NAME_BYTES",
    "MAX_TOTAL_BYTES",
    "Tally",
    "TreeTooLargeError",
]

MAX_ENTRIES: Final = 200_000
"""Files, links and folders."""
MAX_DEPTH: Final = 200
"""Folders in folders: deeper ones the kernel holds, but few programs can read or remove them."""
MAX_NAME_BYTES: Final = 32 << 20
"""Of all paths and targets of links together."""
MAX_LINK: Final = 4095
"""Bytes of a link's target, as Linux has it."""
MAX_FILE_BYTES: Final = 256 << 20
"""Of one file, which is held in memory while it is written."""
MAX_TOTAL_BYTES: Final = 10 << 30
"""Of all files together, as often as they are in the tree."""


class TreeTooLargeError(Exception):
    """A tree is beyond a bound; the same tree always is."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"TreeTooLarge: {problem}; put less below the Sync's path")


class Tally:
    """Counts a tree while it is walked, before anything of it is kept or read."""

    def __init__(self) -> None:
        self._entries = 0
        self._names = 0
        self._bytes = 0

    def entry(self, path: bytes) -> None:
        """Count a file, link, submodule or folder.

        Raises:
            TreeTooLargeError: it is one too many, too deep, or there are too many bytes of paths.
        """
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise TreeTooLargeError(f"the tree has more than {MAX_ENTRIES} files and folders")
        if path.count(b"/") > MAX_DEPTH:
            raise TreeTooLargeError(f"the tree is more than {MAX_DEPTH} levels deep")
        self.names(len(path))

    def names(self, size: int) -> None:
        """Count bytes of paths, and what else is as long as they are.

        Raises:
            TreeTooLargeError: they are too many.
        """
        self._names += size
        if self._names > MAX_NAME_BYTES:
            raise TreeTooLargeError(f"the tree's paths and links have more than {MAX_NAME_BYTES} bytes")

    def content(self, mode: EntryMode, size: int) -> None:
        """Count what a file or link holds.

        Raises:
            TreeTooLargeError: it is too long by itself, or with all before it.
        """
        if mode is EntryMode.LINK:
            if size > MAX_LINK:
                raise TreeTooLargeError(f"a link has a target of {size} bytes, and {MAX_LINK} is the most")
            self.names(size)
        elif size > MAX_FILE_BYTES:
            raise TreeTooLargeError(f"a file has {size} bytes, and {MAX_FILE_BYTES} is the most")
        self._bytes += size
        if self._bytes > MAX_TOTAL_BYTES:
            raise TreeTooLargeError(f"the tree's files have more than {MAX_TOTAL_BYTES} bytes")
