"""Values in a database file as no program writes them: of another type, none at all, absurd, undecodable."""

from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import apsw

__all__ = ["ODD", "columns", "spoil"]

ODD: Final = (
    "NULL",
    "''",
    "'no date'",
    "x''",
    "x'00ff'",
    "CAST(x'ff' AS TEXT)",
    "-1",
    "1.5",
    "9007199254740993",
    "9223372036854775807",
    "x'7b7d'",
    "x'5b5d'",
    "x'6e756c6c'",
    "'{}'",
)
"""In SQL. The bytes at the end are `{}`, `[]` and `null`."""


def columns(path: Path) -> set[tuple[str, str]]:
    """Return the columns of all tables, each with its table's name."""
    query = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    with closing(apsw.Connection(str(path))) as disk:
        found: list[Any] = disk.execute(query).fetchall()
    return set(found)


def spoil(path: Path, table: str, column: str, odd: Iterable[tuple[int, str]]) -> None:
    """Put values, in SQL, into the rows of these numbers, whatever the table says of its columns.

    The file is left as an orderly stop leaves it.
    """
    with closing(apsw.Connection(str(path))) as disk:
        declared = disk.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).get
        _declare(disk, table, str(declared).replace(" NOT NULL", ""))
    with closing(apsw.Connection(str(path))) as disk:
        for number, value in odd:
            with suppress(apsw.MismatchError, apsw.ConstraintError):  # a key of the table itself takes numbers only
                disk.execute(f"UPDATE OR IGNORE {table} SET {column} = {value} WHERE rowid = ?", (number,))  # noqa: S608 - the test's
        _declare(disk, table, str(declared))


def _declare(disk: apsw.Connection, table: str, sql: str) -> None:
    disk.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    disk.pragma("writable_schema", 1)
    disk.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, table))
    disk.pragma("writable_schema", 0)
