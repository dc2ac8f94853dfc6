"""What is in a file, which version of it this program knows, and opening the connection that writes it (R51).

A file has a version MAJOR.MINOR. A step to the next minor version only adds (tables, indexes, columns with a
default), so a program that knows fewer steps goes on with the file as if nothing were new; one that knows more
takes the steps that are missing, in one transaction. Another major version is refused with a message, and the file
is left as it is.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from gateway.ports.disk import DiskFailed, WriteRefused

__all__ = ["BUSY_MS", "FATAL", "Schema", "open_writing", "refuse_other_major"]

FATAL: Final = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)
"""What no process survives (R3)."""
BUSY_MS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of a file.

    Attributes:
        major: rises when something is taken away or gets another meaning.
        steps: the statements that make a new file MAJOR.0, then those to MAJOR.1, to MAJOR.2 and so on: what is to
            be added is appended as a further step, and no step ever changes.
        laws: queries, each with rows only where a value is not what any program writes there, and all else hangs
            on it. They are asked at each start, so they are of small tables, or of what an index answers.
    """

    major: int = 1
    steps: tuple[tuple[str, ...], ...]
    laws: tuple[str, ...] = ()

    @property
    def minor(self) -> int:
        """The newest minor version that this program knows."""
        return len(self.steps) - 1


def open_writing(path: Path, synchronous: str, schema: Schema) -> apsw.Connection:
    """Open or make the file; blocks.

    Raises:
        WriteRefused: it cannot be opened, or a newer program wrote it.
        DiskFailed: it is damaged or cannot be read.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = apsw.Connection(str(path))
    except OSError as error:
        raise WriteRefused(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        _prepare(connection, path, synchronous, schema)
    except FATAL as error:
        connection.close()
        raise DiskFailed(path, str(error)) from error
    except apsw.Error as error:
        connection.close()
        raise WriteRefused(f"{path}: cannot be opened: {error}") from error
    except WriteRefused:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection, path: Path, synchronous: str, schema: Schema) -> None:
    connection.set_busy_timeout(BUSY_MS)
    refuse_other_major(connection, path, schema)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    _empty_log(connection)
    with connection:
        is_new = _major(connection) is None
        _take_steps(connection, schema, 0 if is_new else connection.pragma("user_version") + 1)


def _empty_log(connection: apsw.Connection) -> None:
    """Begin the log anew before anything is written to it.

    A power cut may leave the end of a commit behind the frames that count. Were the log continued, and the power to
    go again in the next commit, two unfinished commits would be there, and look like damage (`gateway.core.wal`).
    Where the disk is full the log is continued all the same.
    """
    with suppress(apsw.BusyError, apsw.FullError, apsw.ReadOnlyError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def refuse_other_major(connection: apsw.Connection, path: Path, schema: Schema) -> None:
    """Look at the version of a file before anything is done with it.

    Raises:
        WriteRefused: it is of another major version.
    """
    found = _major(connection)
    if found not in (None, schema.major):
        raise WriteRefused(
            f"{path}: is of version {found}, and this program knows version {schema.major}: "
            "start the program that wrote it, or move the file aside; nothing was changed"
        )


def _major(connection: apsw.Connection) -> int | None:
    """Return the file's major version; none if the file is new."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema'").get:
        return None
    found = connection.execute("SELECT max(version) FROM schema").get
    return None if found is None else int(found)


def _take_steps(connection: apsw.Connection, schema: Schema, taken: int) -> None:
    """Bring the file from its first `taken` steps to all that are known; `user_version` is the minor version."""
    if taken == 0:
        connection.execute("CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO schema VALUES (?)", (schema.major,))
    for statement in (statement for step in schema.steps[taken:] for statement in step):
        connection.execute(statement)
    if taken < len(schema.steps):
        connection.pragma("user_version", schema.minor)
