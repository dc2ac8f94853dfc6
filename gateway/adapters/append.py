"""Writing down the deliveries that wait, all of them by three statements: find twins, insert, and the commit.

At each statement the writing thread lets go of the interpreter, and has to wait until the loop lets go of it in
turn: that takes longer than most statements do, so their number must not grow with the number of deliveries.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple

import apsw
import orjson

from bellpull.contract.event import ChangeUpdated, RefUpdated, Resync
from bellpull.contract.message import Message, encode
from bellpull.contract.repository import Repository
from bellpull.contract.text import CommitId, Name
from gateway.adapters.moment import is_moment, microseconds, moment
from gateway.adapters.reading import select
from gateway.core.twins import Earlier, Twins

__all__ = ["Appended", "Event", "about", "append", "events"]

_AT_ONCE: Final = 256
"""Rows of one statement."""


class Event(NamedTuple):
    """One event as a row, in the order of its columns."""

    event_id: str
    type: str
    source: str
    delivery: str
    body_digest: str
    repository: str
    ref: str
    commit_id: CommitId | None
    announces: bool
    accepted: int
    body: bytes


class Appended(NamedTuple):
    """What became of a delivery: the last number written together with it, none if all of it was folded."""

    newest: int | None


_INSERT: Final = f"INSERT OR ROLLBACK INTO events ({', '.join(Event._fields)}) VALUES "  # noqa: S608 - names of our own
_ROW: Final = f"({', '.join('?' * len(Event._fields))})"
_EARLIER: Final = """SELECT max(seq) AS number, event_id, source, delivery, body_digest, accepted,
    (SELECT max(f.seq) FROM events f WHERE f.repository = e.repository AND f.ref = e.ref)
    FROM events e WHERE event_id IN (SELECT value FROM json_each(?))
    GROUP BY event_id, source, delivery, body_digest"""

_Twin = tuple[str, str, str, str]


def events(
    messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
) -> tuple[Event, ...]:
    """Return the rows of one delivery."""
    accepted = microseconds(now)
    return tuple(
        Event(
            message.id, message.type, source, delivery, body_digest, *about(message.data), accepted, encode(message)
        )
        for message in messages
    )


def append(connection: apsw.Connection, deliveries: Sequence[Sequence[Event]]) -> list[Appended]:
    """Write the events of `deliveries`, in their order, but for those that fold into earlier ones (R5)."""
    twins = Twins(_earlier(connection, (event.event_id for delivery in deliveries for event in delivery)))
    kept = [[event for event in delivery if not _folds(twins, event)] for delivery in deliveries]
    new = list(chain.from_iterable(kept))
    for start in range(0, len(new), _AT_ONCE):
        rows = new[start : start + _AT_ONCE]
        connection.execute(_INSERT + ", ".join([_ROW] * len(rows)), list(chain.from_iterable(rows)))
    newest = connection.last_insert_rowid()
    return [Appended(newest if written else None) for written in kept]


def _folds(twins: Twins, event: Event) -> bool:
    twin: _Twin = (event.event_id, event.source, event.delivery, event.body_digest)
    return twins.folds(twin, (event.repository, event.ref), moment(event.accepted))


def _earlier(connection: apsw.Connection, event_ids: Iterable[str]) -> Mapping[_Twin, Earlier]:
    """Return the last row of each source, delivery id and body among the rows of `event_ids`.

    One with a value that no program writes is a twin of nothing, so what comes is queued.
    """
    found = select(connection, _EARLIER, (orjson.dumps(list(event_ids)).decode(),))
    return {
        row[1:5]: Earlier(seq=number, accepted=moment(row[5]), newest_of_ref=row[6])
        for number, row in found
        if row is not None and is_moment(row[5]) and isinstance(row[6], int)
    }


def about(event: object) -> tuple[str, str, CommitId | None, bool]:
    """Return repository key, full ref, commit, and whether it announces a ref's tip."""
    match event:
        case RefUpdated(repository=repository, ref=ref, after=after):
            return repository.key, ref.full, after, True
        case ChangeUpdated(repository=repository) | Resync(repository=Repository() as repository):
            return repository.key, "", None, False
        case _:
            return "", "", None, False
