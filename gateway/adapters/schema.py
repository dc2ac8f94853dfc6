"""What is in a file, which version of it this program knows, and opening the connection that writes it.

A file that a newer program wrote is refused with a message and left as it is (R51).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from gateway.ports.disk import DiskFailed, WriteRefused

__all__ = ["BUSY_MS", "FATAL", "Schema", "open_writing"]

FATAL: Final = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)
"""What no process survives (R3)."""
BUSY_MS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of a file, and the version that a program must know to touch it (R51)."""

    version: int
    statements: tuple[str, ...]


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
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection, path: Path, synchronous: str, schema: Schema) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    with connection:
        connection.execute("CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL)")
        found = connection.execute("SELECT max(version) FROM schema").get
        if found is None:
            connection.execute("INSERT INTO schema VALUES (?)", (schema.version,))
            for statement in schema.statements:
                connection.execute(statement)
        elif found != schema.version:
            raise WriteRefused(
                f"{path}: has version {found}, and this program knows version {schema.version}: "
                "start the program that wrote it, or move the file aside"
            )
