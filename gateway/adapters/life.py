"""The starts and the signs of life in the journal, and the resync that follows a hole in them (R1)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import apsw

from bellpull.contract.event import Resync
from bellpull.contract.ids import event_id
from bellpull.contract.message import Message
from bellpull.contract.text import Name, Note
from gateway.adapters.append import Appended, Event, append, events
from gateway.adapters.moment import is_moment, microseconds, moment
from gateway.core.away import missed

__all__ = ["Append", "Restored", "begin", "forget", "last_number", "restored", "sign"]

Append = Callable[[apsw.Connection, Sequence[Sequence[Event]]], list[Appended]]
"""How events are written: `append.append`, or the one that lets them wait for a broker too."""

_SOURCE: Final = Name("gateway")


class Restored(NamedTuple):
    """What a backup has that was put in the journal's place.

    Attributes:
        newest: number of its last event; 0 where it has none.
        accepted: when that came, as far as is known.
        started: when the gateway began that the backup is of.
    """

    newest: int
    accepted: datetime | None
    started: datetime | None

    def times(self) -> dict[str, datetime]:
        """Return the times that are known, by name."""
        named = {"accepted": self.accepted, "started": self.started}
        return {name: time for name, time in named.items() if time is not None}


def sign(
    connection: apsw.Connection,
    now: datetime,
    *,
    turned_away: bool = False,
    removed: bool = False,
    turned_on: bool = False,
    write: Append = append,
) -> Appended:
    """Write a sign of life, and the resync that is due since the last one, in the transaction of the caller."""
    found: Any = connection.execute("SELECT seen FROM life WHERE typeof(seen) = 'integer'").get
    last = moment(found) if is_moment(found) else None
    reason = missed(last, now, turned_away=turned_away, removed=removed, turned_on=turned_on)
    connection.execute("UPDATE life SET seen = ?", (microseconds(now),))
    return Appended(None) if reason is None else _resync(connection, reason, now, write)


def begin(
    connection: apsw.Connection,
    word: str,
    now: datetime,
    *,
    removed: bool = False,
    forwards: bool = False,
    anew: bool = False,
    write: Append = append,
) -> int:
    """Write the epoch of this start, a sign, and the resync that is due; return the last number in use.

    With `anew` one is due from a new journal, too: it may stand for one that was lost, with what waited in it. Over
    the stream every agent finds that out by itself, as its place is of another epoch; over a broker nobody does.
    """
    forwarded = connection.execute("SELECT forwards IS 1 FROM epochs ORDER BY place DESC LIMIT 1").get
    values = (word, last_number(connection) + 1, microseconds(now), forwards)
    connection.execute("INSERT INTO epochs (word, first, started, forwards) VALUES (?, ?, ?, ?)", values)
    if forwarded is None and not anew:
        connection.execute("UPDATE life SET seen = ?", (microseconds(now),))
    else:
        sign(connection, now, removed=removed, turned_on=forwards and not forwarded, write=write)
    return last_number(connection)


def last_number(connection: apsw.Connection) -> int:
    """Return the number of the last event ever written; 0 before the first."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get
    return found or 0


def forget(connection: apsw.Connection) -> None:
    """Unsay when the gateway ran last: whoever starts on this journal does not know what was missed."""
    connection.execute("UPDATE life SET seen = NULL")


def restored(connection: apsw.Connection) -> Restored | None:
    """Return what there is where this start, of which nothing is written yet, is the first on a backup."""
    seen: Any = connection.execute("SELECT seen IS NOT NULL FROM life").get
    started: Any = connection.execute(_whole("started", "epochs ORDER BY place DESC")).get
    if seen or started is None:
        return None
    accepted: Any = connection.execute(_whole("accepted", "events ORDER BY seq DESC")).get
    return Restored(last_number(connection), _time(accepted), _time(started))


def _whole(column: str, rows: str) -> str:
    """Return what reads a number of the first row; -1 where damage made it none, which may be no text even."""
    return f"SELECT iif(typeof({column}) = 'integer', {column}, -1) FROM {rows} LIMIT 1"  # noqa: S608 - constants


def _time(stored: Any) -> datetime | None:
    return moment(stored) if is_moment(stored) else None


def _resync(connection: apsw.Connection, reason: str, now: datetime, write: Append) -> Appended:
    delivery = f"resync-{microseconds(now)}"
    message = Message(
        id=event_id(_SOURCE, delivery, "resync"), source="/gateway", time=now, data=Resync(reason=Note(reason))
    )
    (appended,) = write(connection, [events([message], source=_SOURCE, delivery=delivery, body_digest="", now=now)])
    return appended
