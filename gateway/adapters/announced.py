"""What other gateways accepted, as rows of the state: the newest `ROWS` of them.

They are read in the order in which they were heard.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from bellpull.contract.text import CommitId
from gateway.adapters.database import microseconds, moment
from gateway.core.answer import Announcement

__all__ = ["ROWS", "announcements_after", "announcements_of", "put_announcement"]

ROWS: Final = 100_000
_PUT: Final = """INSERT INTO announcements (event_id, repository, ref, commit_id, source, heard)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_TRIM: Final = "DELETE FROM announcements WHERE place <= (SELECT max(place) FROM announcements) - ?"
_SELECT: Final = "SELECT event_id, repository, ref, commit_id, source, heard FROM announcements WHERE "


def put_announcement(announcement: Announcement) -> Callable[[apsw.Connection], None]:
    """Return the job that keeps one, and lets the oldest go."""
    row = (
        announcement.event_id,
        announcement.repository,
        announcement.ref,
        announcement.commit,
        announcement.source,
        microseconds(announcement.accepted),
    )

    def job(connection: apsw.Connection) -> None:
        connection.execute(_PUT, row)
        connection.execute(_TRIM, (ROWS,))

    return job


def announcements_of(commit: CommitId) -> Callable[[apsw.Connection], tuple[Announcement, ...]]:
    """Return the job that reads those of a commit."""
    return _read("commit_id = :commit ORDER BY place", {"commit": commit})


def announcements_after(announcement: Announcement) -> Callable[[apsw.Connection], tuple[Announcement, ...]]:
    """Return the job that reads those of the same ref that were heard later."""
    where = "repository = :repository AND ref = :ref AND heard > :heard ORDER BY place"
    heard = microseconds(announcement.accepted)
    return _read(where, {"repository": announcement.repository, "ref": announcement.ref, "heard": heard})


def _read(where: str, values: Mapping[str, Any]) -> Callable[[apsw.Connection], tuple[Announcement, ...]]:
    def job(connection: apsw.Connection) -> tuple[Announcement, ...]:
        rows: list[Any] = connection.execute(_SELECT + where, values).fetchall()
        return tuple(_announcement(row) for row in rows)

    return job


def _announcement(values: Any) -> Announcement:
    event_id, repository, ref, commit, source, heard = values
    return Announcement(
        seq=None,
        event_id=event_id,
        repository=repository,
        ref=ref,
        commit=commit,
        source=source,
        accepted=moment(heard),
    )
