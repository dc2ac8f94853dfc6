"""Refused deliveries in the state's file: a row for each."""

from collections.abc import Callable
from typing import Any, Final

import apsw

from gateway.adapters.database import microseconds, moment
from gateway.core.rejections import Changes, Rejection

__all__ = ["read_rejections", "write_rejections"]

_ALL: Final = "SELECT source, status, address, reason, asked, count, first, last FROM rejections"
_PUT: Final = "INSERT OR REPLACE INTO rejections VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_GONE: Final = "DELETE FROM rejections WHERE source = ? AND status = ? AND address = ? AND reason = ?"


def read_rejections(connection: apsw.Connection) -> tuple[Rejection, ...]:
    """Return all of them; a job for a reading thread."""
    rows: list[Any] = connection.execute(_ALL).fetchall()
    return tuple(
        Rejection(
            source=source,
            status=status,
            address=address,
            reason=reason,
            asked=asked,
            count=count,
            first=moment(first),
            last=moment(last),
        )
        for source, status, address, reason, asked, count, first, last in rows
    )


def write_rejections(changes: Changes) -> Callable[[apsw.Connection], None]:
    """Return the job that brings the file up to date."""
    put = [(*row.key, row.asked, row.count, microseconds(row.first), microseconds(row.last)) for row in changes.put]

    def job(connection: apsw.Connection) -> None:
        connection.executemany(_GONE, changes.gone)
        connection.executemany(_PUT, put)

    return job
