"""A database file that is damaged when the gateway starts is moved aside, so that it can start (R10).

What is looked at: the file's head and the values that all else hangs on at every start, and every page after a stop
that was not in order. The last
connection that closes in order removes the log beside the file, so a log that is there says that it did not come
to that. All pages are read in one go first: SQLite would read them one by one in the order of its trees, which took
25 s instead of 2 s for 1 GiB that was not in memory; once it is in memory, as it is after a kill, looking takes 1 s.

Nothing is deleted: the file and its log stay under another name. A file that cannot be read (EIO) is not damaged as
far as anybody knows, and stays where it is.
"""

import asyncio
import errno
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import apsw

from bellpull.runtime.files import sync_folder
from gateway.adapters.schema import BUSY_MS, Schema, refuse_other_major
from gateway.core.wal import FRAME_HEAD, LOG_HEAD, is_damaged
from gateway.ports.disk import DiskFailed, WriteRefused

__all__ = ["Damage", "make_sound", "recovering"]

_T = TypeVar("_T")

_CHUNK: Final = 1 << 20
_LOG, _INDEX, _ROLLBACK = "-wal", "-shm", "-journal"
_FILES: Final = ("", _LOG, _INDEX, _ROLLBACK)
_VERSION: Final = "SELECT 1 FROM schema WHERE typeof(version) <> 'integer' OR version NOT BETWEEN 1 AND 1000"
_CODE: Final = re.compile(r"error code=(\d+)")
_IOERR: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that was found damaged: where it is to be, what is wrong with it, where it will be."""

    path: Path
    problem: str
    moved_to: Path

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}: moved to {self.moved_to.name}, and a new one begun"


class _DamagedError(Exception):
    """The file is not what was written; the message says how that shows."""


async def recovering(
    begin: Callable[[], Awaitable[_T]],
    path: Path,
    schema: Schema,
    *,
    now: datetime,
    synced: bool,
    tell: Callable[[Damage], None],
) -> _T:
    """Look at the file, then run `begin`, which opens it; what only shows then is looked for once, and thoroughly.

    Args:
        begin: opens the file.
        path: the database; it need not be there.
        schema: what a program must know to look at it.
        now: see `make_sound`, as for the rest.
        synced: the same.
        tell: the same.

    Raises:
        WriteRefused: it cannot be opened or moved, or is of another major version.
        DiskFailed: it cannot be read.
    """
    look = partial(make_sound, path, schema, now=now, synced=synced, tell=tell)
    await asyncio.to_thread(look)
    try:
        return await begin()
    except DiskFailed:
        if not await asyncio.to_thread(look, thorough=True):
            raise
        return await begin()


def make_sound(
    path: Path,
    schema: Schema,
    *,
    now: datetime,
    synced: bool,
    thorough: bool = False,
    tell: Callable[[Damage], None],
    vfs: str | None = None,
) -> bool:
    """Look at the file before it is opened, and move it aside if it is damaged; blocks.

    Args:
        path: the database; it need not be there.
        schema: what a program must know to look at it.
        now: becomes part of its new name.
        synced: whether every commit was synced, so that none can be missing from the log.
        thorough: look at every page, whatever the last stop was like.
        tell: called before anything is moved.
        vfs: SQLite's name of the file system.

    Returns:
        Whether it was moved aside.

    Raises:
        WriteRefused: it cannot be opened or moved, or is of another major version.
        DiskFailed: it cannot be read.
    """
    try:
        problem = _problem(path, schema, synced=synced, thorough=thorough, vfs=vfs)
        if problem is not None:
            damage = Damage(path=path, problem=problem, moved_to=_free_name(path, now))
            tell(damage)
            _move(path, damage.moved_to)
    except OSError as error:
        if error.errno == errno.EIO:
            raise DiskFailed(path, str(error.strerror)) from error
        raise WriteRefused(f"{path}: cannot be looked at or moved aside: {error.strerror}") from error
    except apsw.IOError as error:
        raise DiskFailed(path, str(error)) from error
    except apsw.Error as error:
        raise WriteRefused(f"{path}: cannot be opened: {error}") from error
    return problem is not None


def _problem(path: Path, schema: Schema, *, synced: bool, thorough: bool, vfs: str | None) -> str | None:
    log = _beside(path, _LOG)
    unclean = log.exists()
    if not path.exists() or path.stat().st_size == 0:
        return "its log is there without it" if unclean and log.stat().st_size else None
    if not path.is_file():
        raise OSError(errno.EINVAL, "is not a file")
    if _beside(path, _ROLLBACK).exists() and not thorough:
        # The power went while it was made. Only who writes can take that back, and nobody was promised anything yet.
        return None
    try:
        if unclean or thorough:
            _read_ahead(path)
        with closing(_open(path, immutable=not unclean, vfs=vfs)) as connection:
            _look_at_values(connection, _VERSION)
            refuse_other_major(connection, path, schema)
            _look_at_values(connection, *schema.laws)
            if unclean or thorough:
                _judge(str(connection.execute("PRAGMA quick_check(1)").get))
            if unclean and synced:
                _look_at_log(connection, log)
    except (apsw.CorruptError, apsw.NotADBError, _DamagedError) as error:
        return str(error)
    return None


def _look_at_values(connection: apsw.Connection, *laws: str) -> None:
    """Look for values that no program writes; a table that is not there, as the file is being made, breaks no law."""
    for law in laws:
        with suppress(apsw.SQLError):
            if connection.execute(law).fetchone() is not None:
                table = law.partition(" FROM ")[2].split()[0]
                raise _DamagedError(f"a value in {table} is not what was written there")


def _open(path: Path, *, immutable: bool, vfs: str | None) -> apsw.Connection:
    """Open for reading; without a log nothing needs to be made beside the file for that."""
    name = f"{path.absolute().as_uri()}?immutable={int(immutable)}"
    connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # only looks: the log stays, and is not even tried
    connection.set_busy_timeout(BUSY_MS)
    return connection


def _read_ahead(path: Path) -> None:
    buffer = bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _judge(found: str) -> None:
    """Take the line of a check for what it says; a page that could not be read is told in it, too."""
    if found == "ok":
        return
    code = _CODE.search(found)
    if code is not None and int(code[1]) & 0xFF == _IOERR:
        raise apsw.IOError(found)
    raise _DamagedError(" ".join(found.split()))


def _look_at_log(connection: apsw.Connection, log: Path) -> None:
    valid, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    with log.open("rb", buffering=0) as file:
        head = file.read(LOG_HEAD)
        if is_damaged(head, _frames_beyond(file.fileno(), valid, connection.pragma("page_size"))):
            raise _DamagedError(f"its log is damaged after frame {valid}")


def _frames_beyond(log: int, valid: int, page_size: int) -> Iterator[bytes]:
    size = FRAME_HEAD + page_size
    for at in range(LOG_HEAD + max(valid, 0) * size, os.fstat(log).st_size, size):
        yield os.pread(log, FRAME_HEAD, at)


def _free_name(path: Path, now: datetime) -> Path:
    name = path.with_name(f"{path.stem}.damaged-{now:%Y%m%dT%H%M%SZ}")
    while any(_beside(name, end).exists() for end in _FILES):
        name = name.with_name(f"{name.name}x")
    return name


def _move(path: Path, to: Path) -> None:
    """Rename the file first: a log without its file is seen, a file without its log would look whole."""
    for end in _FILES:
        if _beside(path, end).exists():
            _beside(path, end).rename(_beside(to, end))
    sync_folder(path.parent)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
