"""A disk for SQLite that knows what was synced, loses its power, and fails on demand.

While `with Disk(folder)` runs, it is SQLite's file system for the whole process: the adapters run on it as they are.
Files in `folder` are real; beside each, the disk keeps what was synced of it (see `surface`). A cut comes with an
operation, and `at_cut` runs in that moment, in the operation's thread: whoever was answered until then was answered
before the power went. The program goes on unawares, on what nobody will see.

Not modelled: the index of the log ("-shm"), which is memory that nobody syncs, and does not outlive a cut.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

import apsw

from tests.gateway.disk.surface import SECTORS, Inode, Survival

__all__ = ["ERRORS", "Disk", "Operation"]

Operation = Literal["read", "write", "sync", "truncate", "delete"]
ERRORS: Final[Mapping[str, tuple[type[apsw.Error], int]]] = {
    "EIO read": (apsw.IOError, apsw.SQLITE_IOERR_READ),
    "EIO write": (apsw.IOError, apsw.SQLITE_IOERR_WRITE),
    "EIO sync": (apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
    "full": (apsw.FullError, apsw.SQLITE_FULL),
    "read-only": (apsw.ReadOnlyError, apsw.SQLITE_READONLY),
}
_SYSTEM: Final = "unix"
_LOGS: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
_KEPT: Final = _LOGS | apsw.SQLITE_OPEN_MAIN_DB


class Disk(apsw.VFS):
    """SQLite's file system while its context runs.

    Args:
        folder: whose files it keeps; all others are left to the system.

    Attributes:
        done: how many operations there were, by what they were and the end of the file's name.
        failing: the errors that operations answer with from now on.
        since_failed: how often something was to be brought to the disk after the first operation that failed.
        running: cleared, a sync waits until it is set.
        image: what is on the disk since the power went.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"disk-{id(self)}"
        self.done: Counter[tuple[Operation, str]] = Counter()
        self.failing: dict[Operation, str] = {}
        self.since_failed = 0
        self._has_failed = False
        self.running = threading.Event()
        self.running.set()
        self.image: dict[str, bytes] | None = None
        self.folder = folder
        self._lock = threading.RLock()
        self._names = {path.name: _on_disk(path) for path in folder.iterdir() if path.is_file()}
        self._entries = dict(self._names)
        self._cut: Callable[[Operation, str], bool] = lambda *_: False
        self._at_cut: Callable[[], None] = lambda: None
        self._random = Random(0)
        self._survival: Survival = "nothing"
        super().__init__(self.name, _SYSTEM)

    def __enter__(self) -> Self:
        apsw.set_default_vfs(self.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.running.set()
        apsw.set_default_vfs(_SYSTEM)

    def plan_cut(
        self, when: Callable[[Operation, str], bool], survival: Survival, random: Random, at_cut: Callable[[], None]
    ) -> None:
        """Cut the power just before the first operation for which `when(operation, end of file name)` is true."""
        self._cut, self._survival, self._random, self._at_cut = when, survival, random, at_cut

    def cut(self) -> None:
        """Cut the power, if it is still there: `image` is what is left, whatever is written from now on."""
        with self._lock:
            if self.image is None:
                self._at_cut()
                self.image = dict(self._left())

    def _left(self) -> Mapping[str, bytes]:
        sector = self._random.choice(SECTORS)
        left = {}
        for name in sorted(self._names.keys() | self._entries.keys()):
            known = [self._entries.get(name), self._names.get(name)]
            entry = {"nothing": known[0], "some": self._random.choice(known), "all": known[1]}[self._survival]
            if entry is not None:
                left[name] = entry.after_cut(self._random, self._survival, sector)
        return left

    # -- what files and SQLite call --

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        if path.parent != self.folder or not flags[0] & _KEPT:
            return apsw.VFSFile(_SYSTEM, name, flags)
        with self._lock:
            asked = flags[0]
            file = _File(self, path.name, name, flags)
            if path.exists() and self._is_new(path):
                self._names[path.name] = Inode(number=path.stat().st_ino)
            if path.name in self._names and asked & _LOGS and asked & apsw.SQLITE_OPEN_CREATE:
                self._names[path.name].syncs_folder = True
            return file

    def _is_new(self, path: Path) -> bool:
        """Whether the file of this name was made, or put there, since it was looked at last."""
        known = self._names.get(path.name)
        return known is None or known.number != path.stat().st_ino

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        path = Path(filename)
        with self._lock:
            self.begin("delete", path.name)
            super().xDelete(filename, syncdir)
            self._names.pop(path.name, None)
            if syncdir:
                self._sync_folder()

    def begin(self, operation: Operation, name: str) -> None:
        """Count an operation; refuse it if it is to fail."""
        end = name.removeprefix("journal.db") or "db"
        with self._lock:
            self.done[operation, end] += 1
            if operation != "read" and self.image is None and self._cut(operation, end):
                self.cut()
            self.since_failed += operation != "read" and self._has_failed
        if operation in self.failing:
            self._has_failed = True
            raise _error(self.failing[operation])

    def written(self, name: str, at: int, data: bytes | None) -> None:
        """Note what a file was given, or what length it was cut to."""
        if name in self._names:
            self._names[name].pending.append((at, data))

    def synced(self, name: str) -> None:
        """Note that all of a file is on the disk."""
        if name in self._names:
            inode = self._names[name]
            inode.sync()
            if inode.syncs_folder:
                inode.syncs_folder = False
                self._sync_folder()

    def _sync_folder(self) -> None:
        self._entries = dict(self._names)

    @property
    def lock(self) -> threading.RLock:
        """Held while a file and what is known of it change together."""
        return self._lock


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str, given: apsw.URIFilename | str | None, flags: list[int]) -> None:
        self._disk = disk
        self._name = name
        super().__init__(_SYSTEM, given, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's
        self._disk.begin("read", self._name)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's
        with self._disk.lock:
            self._disk.begin("write", self._name)
            super().xWrite(data, offset)
            self._disk.written(self._name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's
        with self._disk.lock:
            self._disk.begin("truncate", self._name)
            super().xTruncate(newsize)
            self._disk.written(self._name, newsize, None)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's
        self._disk.running.wait()
        with self._disk.lock:
            self._disk.begin("sync", self._name)
            self._disk.synced(self._name)


def _on_disk(path: Path) -> Inode:
    return Inode(number=path.stat().st_ino, synced=bytearray(path.read_bytes()))


def _error(name: str) -> apsw.Error:
    kind, code = ERRORS[name]
    error = kind(name)
    error.extendedresult = code  # type: ignore[attr-defined]  # as apsw wants it said
    return error
