"""What other gateways accepted, as rows of the state: the newest `ROWS` of them.

They are read in the order in which they were heard.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from bellpull.contract.text import CommitId
from gateway.adapters.event_rows import announcement
from gateway.adapters.moment import microseconds
from gateway.adapters.reading import LeftOut
from gateway.core.answer import Announcement

__all__ = ["ROWS", "announcements_after", "announcements_of", "put_announcement"]

ROWS: Final = 100_000
_PUT: Final = """INSERT INTO announcements (event_id, repository, ref, commit_id, source, heard)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_TRIM: Final = "DELETE FROM announcements WHERE place <= (SELECT max(place) FROM announcements) - ?"
_SELECT: Final = """SELECT place AS number, event_id, repository, ref, commit_id, source, heard, 0
    FROM announcements WHERE """


def put_announcement(heard: Announcement) -> Callable[[apsw.Connection], None]:
    """Return the job that keeps one, and lets the oldest go."""
    row = (
        heard.event_id,
        heard.repository,
        heard.ref,
        heard.commit,
        heard.source,
        microseconds(heard.accepted),
    )

    def job(connection: apsw.Connection) -> None:
        connection.execute(_PUT, row)
        connection.execute(_TRIM, (ROWS,))

    return job


def announcements_of(left_out: LeftOut, commit: CommitId) -> Callable[[apsw.Connection], tuple[Announcement, ...]]:
    """Return the job that reads those of a commit."""
    return _read(left_out, "commit_id = :commit ORDER BY place", {"commit": commit})


def announcements_after(
    left_out: LeftOut, than: Announcement
) -> Callable[[apsw.Connection], tuple[Announcement, ...]]:
    """Return the job that reads those of the same ref that were heard later."""
    where = "repository = :repository AND ref = :ref AND heard > :heard ORDER BY place"
    heard = microseconds(than.accepted)
    return _read(left_out, where, {"repository": than.repository, "ref": than.ref, "heard": heard})


def _read(
    left_out: LeftOut, where: str, values: Mapping[str, Any]
) -> Callable[[apsw.Connection], tuple[Announcement, ...]]:
    job = left_out.reading("announcements", _SELECT + where, values, _elsewhere)
    return lambda connection: tuple(job(connection).values)


def _elsewhere(values: Any) -> Announcement:
    """Return what another gateway accepted: it is no row of this one's journal."""
    return announcement((None, *values[1:]))
