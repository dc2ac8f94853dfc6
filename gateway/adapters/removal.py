"""Which rows go when a file needs room: those that are too old, else the oldest, or the oldest of whoever has most.

Where rows belong to somebody, each may hold as much as those that hold as much as anybody: room is made at the
expense of whoever holds most, down to the next one, so who says little keeps all of it whatever others say. What each
holds is kept count of by the file itself, in the transaction that changes it, so that no row is looked at for it.
"""

from dataclasses import dataclass
from typing import Any, Final

import apsw

from gateway.adapters.moment import NO_MOMENT

__all__ = ["BATCH", "Rows", "Shares", "oldest", "remove", "remove_old"]

BATCH: Final = 500
"""Rows that go in one transaction at most."""
_LEAST_BYTES: Final = 64 * 1024
_MOST_BYTES: Final = 1024 * 1024
"""What goes in one transaction of whoever holds most, where its rows are large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Who holds how much.

    Attributes:
        table: with a row for each holder, its name in the column `column`, and its `bytes`.
        column: whose a row is; indexed together with the number.
        size: what a row counts as, in SQL.
    """

    table: str
    column: str
    size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows that go: their table, its columns with a number that rises and the time stored, and whose they are."""

    table: str
    number: str
    time: str
    shares: Shares | None = None


def oldest(connection: apsw.Connection, rows: Rows) -> tuple[int, int] | None:
    """Return number and time of the oldest row; one whose time is none is as old as can be."""
    time = f"iif({_is_time(rows.time)}, {rows.time}, 0)"
    query = f"SELECT {rows.number}, {time} FROM {rows.table} ORDER BY {rows.number} LIMIT 1"  # noqa: S608 - names of our own
    found: Any = connection.execute(query).fetchone()
    return None if found is None else (found[0], found[1])


def _is_time(time: str) -> str:
    return f"typeof({time}) = 'integer' AND {time} >= 0 AND {time} < {NO_MOMENT}"


def remove_old(connection: apsw.Connection, rows: Rows, end: int, before: int) -> int:
    """Remove the rows below number `end` that were stored before a time, or at none; return how many."""
    old = f"NOT ({_is_time(rows.time)}) OR {rows.time} < ?"
    query = f"DELETE FROM {rows.table} WHERE {rows.number} < ? AND ({old})"  # noqa: S608 - names of our own
    connection.execute(query, (end, before))
    return connection.changes()


def remove(connection: apsw.Connection, rows: Rows, end: int) -> int:
    """Remove some rows: those below number `end`, or the oldest of whoever holds most; return how many."""
    removed = 0 if rows.shares is None else _remove_of_most(connection, rows, rows.shares)
    if not removed:
        connection.execute(f"DELETE FROM {rows.table} WHERE {rows.number} < ?", (end,))  # noqa: S608 - the same
        removed = connection.changes()
    return removed


def _remove_of_most(connection: apsw.Connection, rows: Rows, shares: Shares) -> int:
    """Take from the first; a share without rows, which only a damaged file has, is forgotten."""
    while (found := _most(connection, shares)) is not None:
        share, wanted = found
        if removed := _remove_of(connection, rows, shares, share, wanted):
            return removed
        connection.execute(f"DELETE FROM {shares.table} WHERE rowid = ?", (share,))  # noqa: S608 - names of our own
    return 0


def _most(connection: apsw.Connection, shares: Shares) -> tuple[int, int] | None:
    """Return the largest share, and how many of its bytes should go: down to the next one."""
    query = f"""SELECT rowid, bytes FROM {shares.table} WHERE typeof(bytes) = 'integer' AND bytes > 0
        ORDER BY bytes DESC LIMIT 2"""  # noqa: S608 - names of our own
    found: list[Any] = connection.execute(query).fetchall()
    if not found:
        return None
    share, most = found[0]
    next_most = found[1][1] if len(found) > 1 else 0
    return share, min(max(most - next_most, _LEAST_BYTES), _MOST_BYTES)


def _remove_of(connection: apsw.Connection, rows: Rows, shares: Shares, share: int, wanted: int) -> int:
    """Remove the oldest rows of a holder, with as many bytes as wanted if there are.

    Nobody's name is read: in a damaged file it may be no text.
    """
    own = f"{shares.column} IS (SELECT {shares.column} FROM {shares.table} WHERE rowid = ?)"  # noqa: S608 - the same
    query = f"SELECT {rows.number}, {shares.size} FROM {rows.table} WHERE {own} ORDER BY {rows.number} LIMIT {BATCH}"  # noqa: S608
    end = None
    found: list[Any] = connection.execute(query, (share,)).fetchall()
    for number, size in found:
        end = number
        wanted -= size
        if wanted <= 0:
            break
    connection.execute(f"DELETE FROM {rows.table} WHERE {own} AND {rows.number} <= ?", (share, end))  # noqa: S608
    return connection.changes()
