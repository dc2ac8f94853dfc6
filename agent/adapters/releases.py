"""The folder beside a target: its releases, a record of each, and what is not finished yet.

For the target `/srv/site` that is `/srv/.site.bellpull`:

- `releases/<number>-<tree>` is complete, on disk and has a record from the moment it is there;
- `records/<number>-<tree>` says what that release is to hold;
- `records/owed` names the trees whose command is owed (`agent.adapters.debt`);
- `incoming/` holds what is being made or removed; what an end without warning left there goes the next time;
- `lock` names the one process that may write here.

The folder has to belong to the agent's user, and nobody else may write to it. A release is read back before it
gets its place, so a file system that folds case, composes accents or has no executable bit is found out then.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.adapters.debt import OWED, Debt
from agent.adapters.tree import Look, Stamp, explained, folder, keep_file, look, names_in, write_tree
from agent.core.directory import ReleasePlan
from agent.core.release import Record, RecordError, ReleaseName, compare
from agent.ports.target import TargetError
from bellpull.runtime.files import FolderLock, ForeignLockError, LockedError
from bellpull.runtime.logs import logger

__all__ = ["Home", "Releases"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDERS: Final[Mapping[str, int]] = {"releases": 0o755, "records": 0o755, "incoming": 0o700}

_log = logger("agent.directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder beside a target, opened; all but `path` are descriptors.

    Attributes:
        path: for people.
        parent: the folder that holds the target's link.
        releases: complete releases.
        records: what each is to hold.
        incoming: what is being made or removed.
    """

    path: Path
    parent: int
    releases: int
    records: int
    incoming: int

    @property
    def debt(self) -> Debt:
        """Whose command is owed."""
        return Debt(self.records, self.incoming)

    def names(self) -> set[ReleaseName]:
        """Return all releases that are there."""
        return {name for entry in names_in(self.releases) if (name := ReleaseName.parse(entry))}

    def record(self, name: ReleaseName) -> Record | None:
        """Return what a release is to hold; None where nothing readable says so."""
        try:
            descriptor = os.open(str(name), _READ, dir_fd=self.records)
            with os.fdopen(descriptor, "rb") as file:
                return Record.decode(file.read())
        except (FileNotFoundError, RecordError):
            return None

    def look(self, name: ReleaseName, record: Record, trusted: Mapping[bytes, Stamp], now: datetime) -> Look:
        """Look at a release; one that is gone holds nothing.

        Raises:
            TargetError: the file system failed.
        """
        with explained(str(self.path / "releases" / str(name))):
            try:
                with folder(self.releases, str(name).encode()) as root:
                    return look(root, record.items, trusted, now)
            except (FileNotFoundError, NotADirectoryError):
                return Look(old_ns=0)

    def make(
        self,
        plan: ReleasePlan,
        record: Record,
        *,
        live: ReleaseName | None,
        blob: Callable[[str], bytes],
        go_on: Callable[[], None],
        now: Callable[[], datetime],
    ) -> tuple[ReleaseName, dict[bytes, Stamp]]:
        """Make the release after `live` and all others, complete and on disk, or leave nothing of it.

        Returns:
            Its name, and the stamps of its files.

        Raises:
            TargetError: it could not be written, or the file system did not keep it as it was written.
        """
        name = ReleaseName.after(self.names() | ({live} if live else set()), record.tree)
        try:
            with explained(str(self.path)):
                self._build(str(name), plan, blob, go_on)
                seen = self._read_back(str(name), record, now())
                keep_file(self.incoming, self.records, str(name), record.encode())
                os.rename(str(name), str(name), src_dir_fd=self.incoming, dst_dir_fd=self.releases)
                os.fsync(self.releases)
        except BaseException:
            self._clear(str(name))
            raise
        return name, seen.stamps

    def _build(self, name: str, plan: ReleasePlan, blob: Callable[[str], bytes], go_on: Callable[[], None]) -> None:
        os.mkdir(name, 0o700, dir_fd=self.incoming)
        with folder(self.incoming, name.encode()) as root:
            write_tree(root, plan, blob, go_on)

    def _read_back(self, name: str, record: Record, now: datetime) -> Look:
        with folder(self.incoming, name.encode()) as root:
            seen = look(root, record.items, {}, now)
        drift = compare(record.items, seen.items)
        if drift is not None:
            raise TargetError(
                str(self.path), f"this file system does not keep the tree as Git has it: {drift}", permanent=True
            )
        return seen

    def remove(self, name: ReleaseName) -> None:
        """Remove a release: at once for whoever looks, its files right after."""
        gone = f"{name}.{secrets.token_hex(4)}"
        with explained(str(self.path)), suppress(FileNotFoundError):
            os.rename(str(name), gone, src_dir_fd=self.releases, dst_dir_fd=self.incoming)
        self._clear(gone)
        self._drop_record(str(name))

    def tidy(self) -> None:
        """Remove what an end without warning left: unfinished releases, and records without one."""
        for name in names_in(self.incoming):
            self._clear(name)
        for name in set(names_in(self.records)) - {OWED, *map(str, self.names())}:
            self._drop_record(name)

    def _drop_record(self, name: str) -> None:
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(name, dir_fd=self.records)

    def _clear(self, name: str) -> None:
        """Remove something from `incoming`; what resists is tried again the next time."""
        try:
            try:
                os.unlink(name, dir_fd=self.incoming)
            except (IsADirectoryError, PermissionError):
                shutil.rmtree(name, dir_fd=self.incoming)
        except FileNotFoundError:
            return
        except (OSError, RecursionError) as error:
            _log.warning("an old release could not be removed", folder=str(self.path / "incoming"), error=str(error))


class Releases:
    """The folder beside one target, and the right to write there, from the first `owned` until `release`."""

    def __init__(self, target: Path) -> None:
        self._parent = target.parent
        self._name = f".{target.name}.bellpull"
        self.path = target.parent / self._name
        self._lock = FolderLock(self.path)
        self._locked: tuple[int, int] | None = None

    @contextmanager
    def owned(self) -> Iterator[Home]:
        """Open the folder for writing; make it and take the lock where need be.

        Raises:
            TargetError: another process owns it, others may write there, or it cannot be made.
        """
        with ExitStack() as stack:
            yield self._open(stack, make=True)

    @contextmanager
    def seen(self) -> Iterator[Home | None]:
        """Open the folder for reading; None where there is none.

        Raises:
            TargetError: it cannot be read.
        """
        with ExitStack() as stack:
            try:
                home = self._open(stack, make=False)
            except FileNotFoundError:
                home = None
            yield home

    def release(self) -> None:
        """Let another process own it."""
        self._lock.release()
        self._locked = None

    def _open(self, stack: ExitStack, *, make: bool) -> Home:
        with explained(str(self._parent)):
            parent = os.open(self._parent, _FOLDER)
        stack.callback(os.close, parent)
        top = self._folder(stack, parent, self._name, 0o755, make=make)
        self._refuse_shared(top)
        if make:
            self._take(top)
        inside = {name: self._folder(stack, top, name, mode, make=make) for name, mode in _FOLDERS.items()}
        return Home(path=self.path, parent=parent, **inside)

    def _folder(self, stack: ExitStack, above: int, name: str, mode: int, *, make: bool) -> int:
        path = str(self.path if name == self._name else self.path / name)
        try:
            descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            with explained(path):
                return self._make(stack, above, path, mode)
        except OSError:
            with explained(path):
                raise
        stack.callback(os.close, descriptor)
        return descriptor

    def _make(self, stack: ExitStack, above: int, path: str, mode: int) -> int:
        """Make a folder; what somebody exchanged it for meanwhile, unless that is as empty, keeps its mode."""
        name = Path(path).name
        os.mkdir(name, mode, dir_fd=above)
        descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        stack.callback(os.close, descriptor)
        if names_in(descriptor):
            raise TargetError(path, "was exchanged while it was made: see who else writes there", permanent=False)
        os.fchmod(descriptor, mode)
        os.fsync(above)
        return descriptor

    def _refuse_shared(self, top: int) -> None:
        status = os.fstat(top)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TargetError(
                str(self.path),
                f"has to belong to user {os.geteuid()}, and nobody else may write there: set its owner and mode 755",
                permanent=False,
            )

    def _take(self, top: int) -> None:
        """Take the lock, anew where somebody put another folder in place of ours."""
        status = os.fstat(top)
        here = (status.st_dev, status.st_ino)
        if self._locked == here:
            return
        self.release()
        try:
            self._lock.acquire(top)
        except LockedError as error:
            holder = f"process {error.pid}" if error.pid else "another process"
            problem = f"is owned by {holder}: stop it, or give this Sync a target of its own"
            raise TargetError(str(self.path), problem, permanent=False) from error
        except ForeignLockError as error:
            raise TargetError(str(error.path), error.problem, permanent=False) from error
        except OSError:
            with explained(str(self.path)):
                raise
        self._locked = here
