"""What a commit's folder holds, as Git lists it: paths are bytes, and nothing about them was judged yet."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["EntryMode", "TreeEntry"]


class EntryMode(StrEnum):
    """What Git says an entry is; folders are implied by the paths."""

    FILE = "100644"
    EXECUTABLE = "100755"
    LINK = "120000"
    GITLINK = "160000"
    """A submodule: the id of a commit in another repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One entry of a tree.

    Attributes:
        path: relative to the folder that a Sync reads, `/` between parts, any bytes.
        mode: file, executable, link or submodule.
        oid: id of its blob: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    """

    path: bytes
    mode: EntryMode
    oid: str
