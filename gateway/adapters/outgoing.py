"""What of the journal waits for the broker: a table of numbers beside the events, that only a gateway with one fills.

A number is written in the transaction of its event, and taken out once the broker confirmed it or what it was folded
into. Events leave the journal oldest first, whether they wait or not, so that new ones find room; a number whose
event is gone is seen at the next sign of life, or when it is to be sent, as is one whose event cannot be read any
more (`gateway.adapters.reading`); agents are told to look at everything, in the transaction that takes the number out
(R1).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import apsw
import orjson

from gateway.adapters.append import Appended, Event, append
from gateway.adapters.database import Database
from gateway.adapters.event_rows import ROW, event, waiting
from gateway.adapters.life import sign
from gateway.adapters.reading import select
from gateway.core.sending import Row, Settled
from gateway.ports.disk import WriteRefused
from gateway.ports.journal import PAGE, JournalError
from gateway.ports.journal import Row as Stored

__all__ = ["SqliteOutgoing", "append_outgoing", "nothing_removed", "removed_unsent"]

_WITHIN_S: Final = 2.0
_WAITING: Final = """SELECT o.seq AS number, e.repository, e.ref, e.accepted
    FROM outgoing o JOIN events e ON e.seq = o.seq
    WHERE o.seq > ? AND o.parked = ? ORDER BY o.seq LIMIT ?"""
_EVENTS: Final = f"SELECT {ROW} FROM events WHERE seq IN (SELECT value FROM json_each(?))"  # noqa: S608 - constant
_NUMBERS: Final = "(SELECT value FROM json_each(?))"


def append_outgoing(connection: apsw.Connection, deliveries: Sequence[Sequence[Event]]) -> list[Appended]:
    """Write events as `append` does, and that they wait."""
    before = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get or 0
    appended = append(connection, deliveries)
    connection.execute("INSERT INTO outgoing (seq) SELECT seq FROM events WHERE seq > ?", (before,))
    return appended


def removed_unsent(connection: apsw.Connection, *, thorough: bool = False) -> bool:
    """Forget the numbers whose events are gone; return whether there were any.

    They go oldest first; a thorough look, at a start, finds what only damage leaves, too.
    """
    gone = "seq < coalesce((SELECT min(seq) FROM events), (SELECT max(seq) + 1 FROM outgoing))"
    if thorough:
        gone = "seq NOT IN (SELECT seq FROM events) OR parked IS NOT 0 AND parked IS NOT 1"
    connection.execute(f"DELETE FROM outgoing WHERE {gone}")  # noqa: S608 - constant
    return connection.changes() > 0


def nothing_removed(_connection: apsw.Connection, *, thorough: bool = False) -> bool:  # noqa: ARG001 - as the other
    """Return what holds where nothing waits."""
    return False


class SqliteOutgoing:
    """`gateway.ports.outgoing.Outgoing` in the journal's file, which has to be opened with `forwards`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, after: int) -> tuple[Row, ...]:
        """Return some of the rows that wait beyond `after`."""
        return await self._rows(after, parked=False, limit=PAGE)

    async def parked(self) -> tuple[Row, ...]:
        """Return the rows that are parked, the first of them if they are very many."""
        return await self._rows(0, parked=True, limit=PAGE)

    async def left(self) -> int:
        """Return how many rows wait."""
        ((found,),) = await self._database.read(_select("SELECT count(*) FROM outgoing WHERE NOT parked", ()))
        return int(found)

    async def events(self, numbers: Sequence[int]) -> tuple[Stored, ...]:
        """Return the rows of `numbers`."""
        job = self._database.left_out.reading("events", _EVENTS, (_json(numbers),), event)
        return tuple((await self._database.read(job)).values)

    async def settle(self, settled: Sequence[Settled], now: datetime) -> None:
        """Take out what is done or folded, mark what is parked, and say that what is gone is."""
        try:
            await self._database.write_one_of(_settle, lambda: (now, settled), within_s=_WITHIN_S)
        except WriteRefused as error:
            raise JournalError(str(error)) from error

    async def _rows(self, after: int, *, parked: bool, limit: int) -> tuple[Row, ...]:
        found = await self._database.read(lambda disk: select(disk, _WAITING, (after, parked, limit)))
        return tuple(waiting(number, values) for number, values in found)


def _settle(connection: apsw.Connection, items: Sequence[tuple[datetime, Sequence[Settled]]]) -> list[Appended]:
    settled = list(chain.from_iterable(each for _, each in items))
    over = [seq for each in settled for seq in (*each.done, *(old for old, _ in each.folded))]
    connection.execute(f"DELETE FROM outgoing WHERE seq IN {_NUMBERS}", (_json(over),))  # noqa: S608 - constant
    if parked := [seq for each in settled for seq in each.parked]:
        connection.execute(f"UPDATE outgoing SET parked = 1 WHERE seq IN {_NUMBERS}", (_json(parked),))  # noqa: S608
    appended = Appended(None)
    if gone := [seq for each in settled for seq in each.gone]:
        connection.execute(f"DELETE FROM outgoing WHERE seq IN {_NUMBERS}", (_json(gone),))  # noqa: S608
        if connection.changes():
            appended = sign(connection, items[-1][0], removed=True, write=append_outgoing)
    return [appended] * len(items)


def _json(numbers: Sequence[int]) -> str:
    return orjson.dumps(numbers).decode()


def _select(query: str, values: Sequence[Any]) -> Callable[[apsw.Connection], list[Any]]:
    return lambda connection: connection.execute(query, values).fetchall()
