"""What waits for the broker, and in which order it goes (R6, R13).

**Lanes.** Rows about one ref of one repository share a lane; a row about no ref has one for itself. Of a lane one row
is in flight at most, so that a retry never overtakes what came later, and while it is, newer rows fold into one: only
the newest of a lane is ever sent. Rows are folded in earnest when what they fold into is confirmed, not before.

**Order.** The lane with the newest row goes first, so that a push does not wait behind what an outage left; a quarter
of what goes at once is taken from the other end, so that nothing waits for ever.

**Suspects.** When the broker closes the channel, one row in flight was the reason, and which is not said. Nothing is
done by that; each of them is sent again alone. A row that closes the channel three times, alone, is parked: it is
never sent again nor forgotten, and what was folded into it waits again. A connection that is lost says nothing about
any row the first time; a row that is lost twice goes alone too, but is never parked for it.

Laws: what was accepted waits, is done, is parked, or is folded into what is one of these; never two of a lane in
flight; the last that is confirmed of a lane is the newest of it that can be sent.

Times are seconds of a clock that only moves forward. Every change costs the same however much waits.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from gateway.core.sending import Attempt, Lane, Link, Outcome, Row, Settled

__all__ = ["AT_ONCE", "Outbox", "problems"]

AT_ONCE: Final = 200
"""Rows in flight: as many as keep a broker at work between two of its syncs."""
_STRIKES: Final = 3
_OLDEST_PART: Final = 4
_NAMED: Final = 5
_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long a lane rests after it failed so many times in a row."""


def problems(outbox: "Outbox", link: Link) -> tuple[str, ...]:
    """Say what somebody should see to; the gateway takes pushes all the same."""
    found = [f"{missing}: run: bellpull broker setup" for missing in link.missing]
    if link.down is not None:
        found.append(f"the broker cannot be reached ({link.down}): {outbox.waiting} events wait for it")
    if link.blocked:
        found.append(f"the broker takes nothing, it is short of memory or disk: {outbox.waiting} events wait for it")
    if unroutable := outbox.unroutable():
        named = ", ".join(each or "all repositories" for each in unroutable[:_NAMED])
        found.append(f"no queue takes events about {named}, although agents should hear them")
    if parked := outbox.parked:
        numbers = ", ".join(str(row.seq) for row in parked[:_NAMED])
        found.append(f"{len(parked)} events are parked, as the broker refuses each of them: {numbers}")
    return tuple(found)


@dataclass(slots=True)
class _Item:
    """The newest row of a lane, with the older ones that it stands for, oldest first."""

    row: Row
    older: deque[Row] = field(default_factory=deque)
    fails: int = 0
    strikes: int = 0
    lost: int = 0
    alone: bool = False
    unroutable: bool = False

    @property
    def since(self) -> datetime:
        return self.older[0].accepted if self.older else self.row.accepted

    def take_on(self, newer: "_Item") -> "_Item":
        """Return `newer` with all of this one folded into it; what failed for the lane goes on counting."""
        self.older.append(self.row)
        self.older.extend(newer.older)
        newer.older = self.older
        newer.fails, newer.unroutable = self.fails, self.unroutable
        return newer


@dataclass(slots=True)
class _Flight:
    item: _Item
    number: int
    alone: bool
    newer: _Item | None = None


class Outbox:
    """What waits. Feed it with `add`, send what `due` returns, and say how that ended with `end`."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._attempts = 0
        self._ready: dict[Lane, _Item] = {}
        """The lane that a row came to last is the last."""
        self._alone: dict[Lane, _Item] = {}
        self._resting: dict[Lane, _Item] = {}
        self._wakes: list[tuple[float, Lane]] = []
        self._flights: dict[Lane, _Flight] = {}
        self._parked: dict[int, Row] = {}
        self._waiting = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows that wait, by rising number."""
        for row in rows:
            self._waiting += 1
            self._put(_Item(row))

    def add_parked(self, rows: Iterable[Row]) -> None:
        """Take rows that were parked before this start."""
        self._parked.update((row.seq, row) for row in rows)

    def due(self, now: float) -> tuple[Attempt, ...]:
        """Return what is to be sent now; all of it is in flight from here on."""
        self._wake(now)
        if any(flight.alone for flight in self._flights.values()):
            return ()
        if self._alone:
            return () if self._flights else (self._take(self._alone, next(iter(self._alone)), alone=True),)
        room = self._at_once - len(self._flights)
        newest = list(islice(reversed(self._ready), room - room // _OLDEST_PART))
        attempts = [self._take(self._ready, lane) for lane in newest]
        oldest = list(islice(self._ready, room - len(attempts)))
        return (*attempts, *(self._take(self._ready, lane) for lane in oldest))

    def next_due(self, now: float) -> float | None:
        """Return after how many seconds to ask again, if nothing happens; none is never."""
        return max(self._wakes[0][0] - now, 0.0) if self._wakes else None

    def end(self, attempt: Attempt, outcome: Outcome, now: float) -> Settled:
        """Take note of how an attempt ended; return what is to be remembered."""
        lane = attempt.row.lane
        flight = self._flights.get(lane)
        if flight is None or flight.number != attempt.number:
            return Settled()
        del self._flights[lane]
        if outcome in (Outcome.CONFIRMED, Outcome.UNWANTED, Outcome.GONE):
            return self._done(flight, gone=outcome is Outcome.GONE)
        if outcome is Outcome.CLOSED and flight.alone:
            flight.item.strikes += 1
            if flight.item.strikes >= _STRIKES:
                return self._park(flight)
        self._again(flight, outcome, now)
        return Settled()

    # -- what there is to say of it --

    @property
    def waiting(self) -> int:
        """Rows that wait, those folded into others and those in flight among them."""
        return self._waiting

    @property
    def in_flight(self) -> int:
        """Rows in flight."""
        return len(self._flights)

    @property
    def is_stuck(self) -> bool:
        """Whether all that waits failed, and rests."""
        return bool(self._resting) and not (self._ready or self._alone or self._flights)

    @property
    def parked(self) -> Sequence[Row]:
        """Rows that are never sent again, by number."""
        return [self._parked[seq] for seq in sorted(self._parked)]

    def since(self) -> datetime | None:
        """Return when the oldest row that waits was accepted; costs more the more waits."""
        return min((item.since for item in self._items()), default=None)

    def unroutable(self) -> Sequence[str]:
        """Return the repositories of which something waits that came back, although it is wanted."""
        items = [*self._resting.values(), *(flight.item for flight in self._flights.values())]
        return sorted({item.row.repository for item in items if item.unroutable})

    def _items(self) -> Iterable[_Item]:
        yield from self._ready.values()
        yield from self._alone.values()
        yield from self._resting.values()
        for flight in self._flights.values():
            yield flight.item

    # -- how it moves --

    def _put(self, item: _Item) -> None:
        """Let the newest item of its lane wait where the lane is."""
        lane = item.row.lane
        if (flight := self._flights.get(lane)) is not None:
            flight.newer = item if flight.newer is None else flight.newer.take_on(item)
        elif lane in self._resting:
            self._resting[lane] = self._resting[lane].take_on(item)
        elif lane in self._alone:
            self._ready[lane] = self._alone.pop(lane).take_on(item)
        else:
            before = self._ready.pop(lane, None)
            self._ready[lane] = item if before is None else before.take_on(item)

    def _take(self, items: dict[Lane, _Item], lane: Lane, *, alone: bool = False) -> Attempt:
        self._attempts += 1
        item = items.pop(lane)
        self._flights[lane] = _Flight(item, self._attempts, alone)
        return Attempt(row=item.row, number=self._attempts)

    def _wake(self, now: float) -> None:
        while self._wakes and self._wakes[0][0] <= now:
            _, lane = heapq.heappop(self._wakes)
            item = self._resting.pop(lane)
            (self._alone if item.alone else self._ready)[lane] = item

    def _done(self, flight: _Flight, *, gone: bool) -> Settled:
        row, older = flight.item.row, flight.item.older
        self._waiting -= 1 + len(older)
        if flight.newer is not None:
            self._put(flight.newer)
        if gone:
            return Settled(gone=(*(each.seq for each in older), row.seq))
        return Settled(done=(row.seq,), folded=tuple((each.seq, row.seq) for each in older))

    def _park(self, flight: _Flight) -> Settled:
        """Put the row aside; the newest of what it stood for, or what came meanwhile, is the lane's from now on."""
        row, older = flight.item.row, flight.item.older
        self._waiting -= 1
        self._parked[row.seq] = row
        rest = _Item(older.pop(), older) if older else None
        if rest is not None:
            self._put(rest)
        if flight.newer is not None:
            self._put(flight.newer)
        return Settled(parked=(row.seq,))

    def _again(self, flight: _Flight, outcome: Outcome, now: float) -> None:
        """Let it wait once more, as a part of what came meanwhile where there is such."""
        item = flight.item
        item.unroutable = outcome is Outcome.RETURNED
        item.lost = item.lost + 1 if outcome is Outcome.LOST else 0
        item.alone = item.alone or outcome is Outcome.CLOSED or item.lost > 1
        blameless = outcome in (Outcome.CLOSED, Outcome.LOST) and not flight.alone
        item.fails = item.fails if blameless else item.fails + 1
        if flight.newer is not None:
            item = item.take_on(flight.newer)
        lane = item.row.lane
        if not blameless:
            self._resting[lane] = item
            heapq.heappush(self._wakes, (now + _PAUSES_S[min(item.fails, len(_PAUSES_S)) - 1], lane))
        else:
            (self._alone if item.alone else self._ready)[lane] = item
