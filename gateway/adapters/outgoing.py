"""What of the journal waits for the broker: a table of numbers beside the events, that only a gateway with one fills.

A number is written in the transaction of its event, and taken out once the broker confirmed it or what it was folded
into. Events leave the journal oldest first, whether they wait or not, so that new ones find room; a number whose
event is gone is seen at the next sign of life, and agents are told to look at everything, in the transaction that
takes the number out (R1).
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

import apsw
import orjson

from gateway.adapters.append import Appended, Event, append
from gateway.adapters.database import Database, moment
from gateway.core.sending import Row, Settled
from gateway.ports.disk import WriteRefused
from gateway.ports.journal import PAGE, JournalError
from gateway.ports.journal import Row as Stored

__all__ = ["SqliteOutgoing", "append_outgoing", "nothing_removed", "removed_unsent"]

_WITHIN_S: Final = 2.0
_WAITING: Final = """SELECT o.seq, e.repository, e.ref, e.accepted FROM outgoing o JOIN events e ON e.seq = o.seq
    WHERE o.seq > ? AND o.parked = ? ORDER BY o.seq LIMIT ?"""
_EVENTS: Final = """SELECT seq, event_id, type, repository, ref, commit_id, source, accepted, body FROM events
    WHERE seq IN (SELECT value FROM json_each(?))"""
_NUMBERS: Final = "(SELECT value FROM json_each(?))"


def append_outgoing(connection: apsw.Connection, deliveries: Sequence[Sequence[Event]]) -> list[Appended]:
    """Write events as `append` does, and that they wait."""
    before = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get or 0
    appended = append(connection, deliveries)
    connection.execute("INSERT INTO outgoing (seq) SELECT seq FROM events WHERE seq > ?", (before,))
    return appended


def removed_unsent(connection: apsw.Connection) -> bool:
    """Forget the numbers whose events are gone; return whether there were any."""
    connection.execute(
        """DELETE FROM outgoing
        WHERE seq < coalesce((SELECT min(seq) FROM events), (SELECT max(seq) + 1 FROM outgoing))"""
    )
    return connection.changes() > 0


def nothing_removed(_connection: apsw.Connection) -> bool:
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
        found = await self._database.read(_select(_EVENTS, (_json(numbers),)))
        return tuple(_stored(values) for values in found)

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Take out what is done or folded, and mark what is parked."""
        try:
            await self._database.write_one_of(_settle, lambda: settled, within_s=_WITHIN_S)
        except WriteRefused as error:
            raise JournalError(str(error)) from error

    async def _rows(self, after: int, *, parked: bool, limit: int) -> tuple[Row, ...]:
        found = await self._database.read(_select(_WAITING, (after, parked, limit)))
        return tuple(
            Row(seq=seq, repository=repository, ref=ref, accepted=moment(accepted))
            for seq, repository, ref, accepted in found
        )


def _settle(connection: apsw.Connection, items: Sequence[Sequence[Settled]]) -> list[None]:
    settled = list(chain.from_iterable(items))
    over = [seq for each in settled for seq in (*each.done, *(old for old, _ in each.folded))]
    connection.execute(f"DELETE FROM outgoing WHERE seq IN {_NUMBERS}", (_json(over),))  # noqa: S608 - constant
    if parked := [seq for each in settled for seq in each.parked]:
        connection.execute(f"UPDATE outgoing SET parked = 1 WHERE seq IN {_NUMBERS}", (_json(parked),))  # noqa: S608
    return [None] * len(items)


def _json(numbers: Sequence[int]) -> str:
    return orjson.dumps(numbers).decode()


def _select(query: str, values: Sequence[Any]) -> Callable[[apsw.Connection], list[Any]]:
    return lambda connection: connection.execute(query, values).fetchall()


def _stored(values: Any) -> Stored:
    seq, event_id, type_, repository, ref, commit, source, accepted, body = values
    return Stored(
        seq=seq,
        event_id=event_id,
        type=type_,
        repository=repository,
        ref=ref,
        commit=commit,
        source=source,
        accepted=moment(accepted),
        body=body,
    )
