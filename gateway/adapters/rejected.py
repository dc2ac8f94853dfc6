"""Refused deliveries in the state's file: a row for each."""

from collections.abc import Callable
from typing import Any, Final

import apsw

from gateway.adapters.moment import microseconds
from gateway.adapters.reading import LeftOut, text_of, time_of, whole
from gateway.core.rejections import Changes, Rejection

__all__ = ["read_rejections", "write_rejections"]

_ALL: Final = """SELECT rowid AS number, source, status, address, reason, asked, count, first, last
    FROM rejections"""
_PUT: Final = "INSERT OR REPLACE INTO rejections VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_GONE: Final = "DELETE FROM rejections WHERE source = ? AND status = ? AND address = ? AND reason = ?"


def read_rejections(left_out: LeftOut) -> Callable[[apsw.Connection], tuple[Rejection, ...]]:
    """Return the job that reads all of them."""
    job = left_out.reading("rejections", _ALL, (), _rejection)
    return lambda connection: tuple(job(connection).values)


def _rejection(values: Any) -> Rejection:
    _, source, status, address, reason, asked, count, first, last = values
    return Rejection(
        source=text_of(source, "source"),
        status=whole(status, "status"),
        address=text_of(address, "address"),
        reason=text_of(reason, "reason"),
        asked=text_of(asked, "asked"),
        count=whole(count, "count"),
        first=time_of(first, "first"),
        last=time_of(last, "last"),
    )


def write_rejections(changes: Changes) -> Callable[[apsw.Connection], None]:
    """Return the job that brings the file up to date."""
    put = [(*row.key, row.asked, row.count, microseconds(row.first), microseconds(row.last)) for row in changes.put]

    def job(connection: apsw.Connection) -> None:
        connection.executemany(_GONE, changes.gone)
        connection.executemany(_PUT, put)

    return job
