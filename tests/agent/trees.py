"""A tree in memory that reads like Git's: the same ids, no repository needed."""

import hashlib
from dataclasses import dataclass, field

from agent.core.tree import EntryMode, TreeEntry
from bellpull.contract.text import CommitId

__all__ = ["COMMIT", "MemoryTree", "blob_id"]

COMMIT = CommitId("c" * 40)


def blob_id(data: bytes) -> str:
    """Return Git's id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324  # Git's own ids


@dataclass(slots=True)
class MemoryTree:
    """Satisfies `TreeReader`; build it with `file`, `program` and `link`."""

    entries: tuple[TreeEntry, ...] = ()
    blobs: dict[str, bytes] = field(default_factory=dict)

    def file(self, path: bytes | str, data: bytes = b"", mode: EntryMode = EntryMode.FILE) -> "MemoryTree":
        """Add a file."""
        oid = blob_id(data)
        name = path.encode() if isinstance(path, str) else path
        self.blobs[oid] = data
        self.entries += (TreeEntry(path=name, mode=mode, oid=oid),)
        return self

    def program(self, path: bytes | str, data: bytes = b"") -> "MemoryTree":
        """Add an executable file."""
        return self.file(path, data, EntryMode.EXECUTABLE)

    def link(self, path: bytes | str, target: bytes) -> "MemoryTree":
        """Add a symbolic link."""
        return self.file(path, target, EntryMode.LINK)

    def blob(self, oid: str) -> bytes:
        """Return a blob's bytes."""
        return self.blobs[oid]

    @property
    def id(self) -> str:
        """An id that is the same for the same tree."""
        return hashlib.sha1(repr(sorted(map(repr, self.entries))).encode()).hexdigest()  # noqa: S324  # as above
