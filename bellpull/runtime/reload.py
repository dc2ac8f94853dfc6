"""Values that follow their files: secrets, enrolment records, pinned keys, tokens.

Every two seconds one thread looks at the files (number, time and size; a folder by what is in it, links followed,
so that a Secret mounted by Kubernetes is seen to change). A value that cannot be read any more stays what it was,
with one line in the log for each change. A file that changes between look and read is read again in the next round.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from bellpull.runtime.logs import logger

__all__ = ["INTERVAL_S", "Watched", "Watcher"]

INTERVAL_S: Final = 2.0
_T = TypeVar("_T")
_log: Final = logger("reload")


class _Mark(NamedTuple):
    path: str
    inode: int
    mtime_ns: int
    size: int


class Watched(Generic[_T]):
    """A value and the files it is read from; made by `Watcher.watch`."""

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], _T]) -> None:
        self._name = name
        self._paths = tuple(paths)
        self._read = read
        self._marks = _look(self._paths)
        self._value = read()
        self._changed: list[Callable[[], None]] = []

    @property
    def value(self) -> _T:
        """The last value that could be read."""
        return self._value

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called on the event loop after the value was read anew."""
        self._changed.append(call)

    def look(self) -> bool:
        """Read the files again if they changed, and say whether there is a new value; blocks."""
        marks = _look(self._paths)
        if marks == self._marks:
            return False
        self._marks = marks
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:
            _log.warning("keeping the old value", of=self._name, problem=str(error))
            return False
        _log.info("read again", of=self._name)
        return True

    def tell(self) -> None:
        """Call who asked for it."""
        for call in self._changed:
            call()


class Watcher:
    """Looks after all watched values of a program."""

    def __init__(self, *, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._watched: list[Watched[Any]] = []

    def watch(self, name: str, paths: Sequence[Path], read: Callable[[], _T]) -> Watched[_T]:
        """Read a value now, and again whenever `paths` (files or folders) change; blocks.

        Raises:
            OSError, ValueError: whatever `read` raises the first time; later that is logged only.
        """
        watched = Watched(name, paths, read)
        self._watched.append(watched)
        return watched

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            for watched in await asyncio.to_thread(self._look):
                watched.tell()

    def _look(self) -> list[Watched[Any]]:
        return [watched for watched in self._watched if watched.look()]


def _look(paths: Sequence[Path]) -> tuple[_Mark, ...]:
    return tuple(mark for path in paths for mark in _marks(path))


def _marks(path: Path) -> Iterator[_Mark]:
    try:
        stat = path.stat()
        yield _Mark(str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if path.is_dir():
            for entry in sorted(path.iterdir()):
                inside = entry.stat()
                yield _Mark(str(entry), inside.st_ino, inside.st_mtime_ns, inside.st_size)
    except OSError as error:
        yield _Mark(f"{path}: {error.errno}", 0, 0, 0)
