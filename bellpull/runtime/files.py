"""Files that are there whole or not at all, and folders that have one owner."""

import errno
import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["FolderLock", "ForeignLockError", "LockError", "LockedError", "locked", "sync_folder", "write_atomic"]

_LOCK_NAME: Final = "lock"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""For a name that somebody else may have put there: nothing is followed, and nothing is waited for."""


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Make `path` hold `data`, on disk when this returns; a reader sees the old content or the new, never a part.

    Raises:
        OSError: it could not be written; `path` is as it was.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put on disk what was made, renamed or removed in `folder`.

    Raises:
        OSError: it could not be synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LockError(OSError):
    """A folder cannot be had."""


class ForeignLockError(LockError):
    """What is in the lock's place is somebody else's, or has another name too: writing there would be theirs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _LOCK_NAME
        self.problem = f"has to be a file of user {os.geteuid()} with no other name: see who put it there, remove it"
        super().__init__(f"{self.path} {self.problem}")


class LockedError(LockError):
    """A folder that another process owns."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{folder} is in use by {holder}: stop it first, or give this one a folder of its own")
        self.folder = folder
        self.pid = pid


def locked(folder: Path) -> bool:
    """Whether a process owns `folder` now.

    Raises:
        OSError: it cannot be told.
    """
    try:
        descriptor = os.open(folder / _LOCK_NAME, os.O_RDONLY | _SAFE)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class FolderLock:
    """The right to a folder, from `acquire` to `release` or as a context; it ends with the process at the latest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self, at: int | None = None) -> None:
        """Take the folder.

        Args:
            at: a descriptor of the folder where it is open already, so that its name is not asked again.

        Raises:
            LockedError: another process has it.
            ForeignLockError: its lock is not a file of this user's own; it is not written to.
            OSError: the folder is not there or not writable.
        """
        folder = os.open(self._folder, _FOLDER) if at is None else at
        try:
            self._descriptor = self._held(folder)
        finally:
            if at is None:
                os.close(folder)

    def _held(self, folder: int) -> int:
        descriptor = self._opened(folder)
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _opened(self, folder: int) -> int:
        try:
            descriptor = os.open(_LOCK_NAME, os.O_RDWR | os.O_CREAT | _SAFE, 0o600, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR):
                raise ForeignLockError(self._folder) from None
            raise
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        raise ForeignLockError(self._folder)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).strip()
            raise LockedError(self._folder, int(holder) if holder.isdigit() else None) from None

    def release(self) -> None:
        """Give the folder back; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
