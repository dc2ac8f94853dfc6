"""A tree's files on disk: written through descriptors, and looked at the same way.

No path of more than one name is given to the kernel, and no link is followed: whoever swaps a folder for a link
meanwhile redirects nothing. What was written is on disk when `write_tree` returns.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from agent.core.directory import PlannedFile, ReleasePlan, printable
from agent.core.release import FILE_MODE, FOLDER_MODE, PROGRAM_MODE, Item, Kind
from agent.ports.target import TargetError

__all__ = ["Look", "Stamp", "explained", "folder", "keep_file", "look", "names_in", "write_tree"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BATCH: Final = 64
"""Files open at once: synced together they share the disk's journal."""
_CHUNK: Final = 1 << 20
_YOUNG: Final = timedelta(seconds=1)
"""Time stamps are coarse: what changed this recently could change again under the same stamp."""

_ROOM: Final = ("there is no room left: make some; what is live stays as it is", False)
_RIGHTS: Final = (f"user {os.geteuid()} may not do this here: give it the right to write", False)
_NAME: Final = ("this file system cannot hold the name, or takes another name of the tree for the same", True)
_CAUSES: Final[Mapping[int, tuple[str, bool]]] = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: ("this file system is read-only: mount it writable, or point the Sync elsewhere", False),
    errno.EXDEV: ("the folder of releases is on another file system than the link: they have to share one", False),
    errno.EBUSY: ("is in use by the kernel (a mount point?): unmount it, or point the Sync elsewhere", False),
    errno.ENOENT: ("is not there: make it, or point the Sync elsewhere", False),
    errno.ENOTDIR: ("is no folder: move it away, or point the Sync elsewhere", False),
    errno.ENAMETOOLONG: _NAME,
    errno.EILSEQ: _NAME,
    errno.EINVAL: _NAME,
    errno.EEXIST: _NAME,
}


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn an error of the file system into one that names `path` and says what to do.

    Raises:
        TargetError: in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        problem, permanent = _CAUSES.get(error.errno or 0, (f"{error.strerror or error}", False))
        raise TargetError(path, problem, permanent=permanent) from error


@contextmanager
def folder(root: int, path: bytes) -> Iterator[int]:
    """Open the folder at `path` below `root`, name by name, through no link.

    Raises:
        OSError: it is not there, or one of its names is no folder.
    """
    here = _open(root, path)
    try:
        yield here
    finally:
        os.close(here)


def _open(root: int, path: bytes) -> int:
    here = os.open(b".", _FOLDER, dir_fd=root)
    for name in path.split(b"/") if path else ():
        above = here
        try:
            here = os.open(name, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return here


def names_in(here: int) -> list[str]:
    """Return the names in an open folder."""
    with os.scandir(here) as entries:
        return [entry.name for entry in entries]


def keep_file(incoming: int, into: int, name: str, data: bytes) -> None:
    """Put a file into a folder, whole and on disk, by way of `incoming`; all folders are descriptors.

    Raises:
        OSError: the file system failed.
    """
    part = f"{name}.part"
    with os.fdopen(os.open(part, _NEW, 0o644, dir_fd=incoming), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, name, src_dir_fd=incoming, dst_dir_fd=into)
    os.fsync(into)


def write_tree(root: int, plan: ReleasePlan, blob: Callable[[str], bytes], go_on: Callable[[], None]) -> None:
    """Carry out `plan` in the empty folder `root`.

    Args:
        root: a descriptor of the folder.
        plan: what to write.
        blob: gives the bytes of a file.
        go_on: raises where this is to end early; asked before each step.

    Raises:
        TargetError: it could not be written; it names the file or folder.
    """
    for path in plan.folders:
        go_on()
        with explained(printable(path)):
            _make_folder(root, path)
    for start in range(0, len(plan.files), _BATCH):
        _write_files(root, plan.files[start : start + _BATCH], blob, go_on)
    for link in plan.links:
        go_on()
        above, _, name = link.path.rpartition(b"/")
        with explained(printable(link.path)), folder(root, above) as above_it:
            os.symlink(link.target, name, dir_fd=above_it)
    os.fchmod(root, FOLDER_MODE)
    for path in reversed((b"", *plan.folders)):
        go_on()
        with explained(printable(path)), folder(root, path) as here:
            os.fsync(here)


def _make_folder(root: int, path: bytes) -> None:
    above, _, name = path.rpartition(b"/")
    with folder(root, above) as above_it:
        os.mkdir(name, FOLDER_MODE, dir_fd=above_it)
        with folder(above_it, name) as made:
            os.fchmod(made, FOLDER_MODE)


def _write_files(
    root: int, files: Sequence[PlannedFile], blob: Callable[[str], bytes], go_on: Callable[[], None]
) -> None:
    with ExitStack() as unsynced:
        written: list[tuple[PlannedFile, int]] = []
        for file in files:
            go_on()
            data = blob(file.oid)
            with explained(printable(file.path)):
                descriptor = _create(root, file)
                unsynced.callback(os.close, descriptor)
                _write(descriptor, data)
            written.append((file, descriptor))
        for file, descriptor in written:
            go_on()
            with explained(printable(file.path)):
                os.fsync(descriptor)


def _create(root: int, file: PlannedFile) -> int:
    above, _, name = file.path.rpartition(b"/")
    with folder(root, above) as above_it:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=above_it)
    os.fchmod(descriptor, PROGRAM_MODE if file.executable else FILE_MODE)
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a file's status says; the same stamp means the same content, once it is old enough."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """Return the stamp in `status`."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
        )


@dataclass(slots=True, kw_only=True)
class Look:
    """What was found.

    Attributes:
        old_ns: what changed before this time has a stamp that can tell.
        items: by path; below a folder that nobody expected, nothing was looked at.
        stamps: of the files whose content was right and whose stamp is old enough to tell.
    """

    old_ns: int
    items: dict[bytes, Item] = field(default_factory=dict)
    stamps: dict[bytes, Stamp] = field(default_factory=dict)

    def add(self, path: bytes, found: Item, want: Item, stamp: Stamp) -> None:
        """Note a file or link."""
        self.items[path] = found
        if found == want and stamp.changed_ns < self.old_ns:
            self.stamps[path] = stamp


def look(root: int, wanted: Mapping[bytes, Item], trusted: Mapping[bytes, Stamp], now: datetime) -> Look:
    """Look at everything below `root`; a file with the stamp it has in `trusted` is not read again.

    What may not be read is found without content: that is drift too.

    Raises:
        TargetError: the file system failed.
    """
    seen = Look(old_ns=int((now - _YOUNG).timestamp() * 1e9))
    seen.items[b""] = _item(os.fstat(root))
    todo = [b""]
    while todo:
        path = todo.pop()
        with explained(printable(path)), suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            todo += _look_into(root, path, wanted, trusted, seen)
    return seen


def _look_into(
    root: int, above: bytes, wanted: Mapping[bytes, Item], trusted: Mapping[bytes, Stamp], seen: Look
) -> Iterator[bytes]:
    """Look at what is in one folder, and yield the folders that were expected there."""
    with folder(root, above) as here:
        for name in map(os.fsencode, names_in(here)):
            path = above + b"/" + name if above else name
            want = wanted.get(path)
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
                found = _item(status)
                if want is None or found.kind is not want.kind:
                    seen.items[path] = found
                elif found.kind is Kind.FOLDER:
                    seen.items[path] = found
                    yield path
                else:
                    stamp = Stamp.of(status)
                    oid = want.oid if trusted.get(path) == stamp else _oid(here, name, want)
                    seen.add(path, replace(found, oid=oid), want, stamp)


def _item(status: os.stat_result) -> Item:
    for is_kind, kind in ((stat.S_ISDIR, Kind.FOLDER), (stat.S_ISREG, Kind.FILE)):
        if is_kind(status.st_mode):
            return Item(kind=kind, mode=stat.S_IMODE(status.st_mode))
    return Item(kind=Kind.LINK if stat.S_ISLNK(status.st_mode) else Kind.OTHER, mode=0)


def _oid(here: int, name: bytes, want: Item) -> str:
    """Return Git's id of a file or link with the hash that the wanted id has; empty where it may not be read."""
    new = hashlib.sha256 if len(want.oid) == 64 else hashlib.sha1
    if want.kind is Kind.LINK:
        target = os.readlink(name, dir_fd=here)
        return new(b"blob %d\0" % len(target) + target).hexdigest()
    try:
        descriptor = os.open(name, _READ, dir_fd=here)
    except PermissionError:
        return ""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        digest = new(b"blob %d\0" % os.fstat(descriptor).st_size)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
