"""From the journal to RabbitMQ: what `gateway.core.outbox` decides, done.

Four things run side by side, and end together: what is accepted is fed to the outbox; what ended is written down, in
groups; a connection is held, come back to after ever longer pauses; and on it, what is due is sent. Pushes are
accepted all the while: nothing here is waited for by them.

After each connect, and before the first row, the way is tried: a tick that nobody hears shows that there is an
exchange, and one to each enrolled agent that it has a queue; what is missing is named. An agent that was missing, or
was enrolled since, is tried again every half a minute.

Accepted: what was confirmed and not yet written down when the process is killed is sent twice.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, NoReturn, Protocol

from bellpull.contract.routing import EVENTS
from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.rabbitmq.connect import BrokerError
from gateway.adapters.publisher import Parcel
from gateway.app.parcels import Parcels
from gateway.core.address import copies, event_key, is_wanted
from gateway.core.outbox import AT_ONCE, Outbox, problems
from gateway.core.sending import Attempt, Link, Outcome, Settled
from gateway.ports.journal import Journal, JournalError, Row
from gateway.ports.outgoing import Outgoing

__all__ = ["Channel", "Forwarder", "ForwarderParts"]

_log = logger("gateway.forwarder")
_LINGER_S: Final = 0.005
"""While much is in flight, so long is waited for more to end: the journal is then read once for all of it."""
_LOOK_S: Final = 0.5
"""How often an idle or blocked connection is looked at."""
_TRY_AGAIN_S: Final = 30.0
_PAUSES_S: Final = (0.25, 30.0)
_WORST: Final = (
    Outcome.CLOSED,
    Outcome.LOST,
    Outcome.TIMED_OUT,
    Outcome.NACKED,
    Outcome.RETURNED,
    Outcome.CONFIRMED,
)
"""Of copies of one event that ended differently, the first of these that occurs counts."""


class Channel(Protocol):
    """A way to the broker; see `gateway.adapters.publisher.Publisher`."""

    @property
    def is_open(self) -> bool:
        """Whether more can be sent."""
        ...

    async def is_blocked(self) -> bool:
        """Whether the broker takes nothing for now."""
        ...

    async def send(self, parcel: Parcel) -> Outcome:
        """Publish, and return how it ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderParts:
    """What it works with.

    Attributes:
        journal: where it is heard that something was accepted.
        outgoing: what of it waits.
        parcels: makes what is published.
        rights: the patterns of each enrolled agent, as of now.
        connect: a new way to the broker; raises `BrokerError`.
        metrics: where it is counted.
    """

    journal: Journal
    outgoing: Outgoing
    parcels: Parcels
    rights: Callable[[], Mapping[Name, Sequence[str]]]
    connect: Callable[[], AbstractAsyncContextManager[Channel]]
    metrics: Metrics


class Forwarder:
    """Sends what waits; run it with `run`."""

    def __init__(self, parts: ForwarderParts) -> None:
        self._parts = parts
        self._outbox = Outbox()
        self._link = Link(down="not connected yet")
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._settled: list[Settled] = []
        self._to_write = asyncio.Event()
        self._reached: dict[int, set[Name]] = {}
        self._tried: set[Name] = set()
        self._tries = 0
        self._measure(parts.metrics)

    def _measure(self, metrics: Metrics) -> None:
        self._ended = metrics.counter(
            "bellpull_broker_sent", "Attempts to publish an event, by outcome.", ("outcome",)
        )
        metrics.gauge("bellpull_broker_waiting", "Events that wait for the broker.").set_function(
            lambda: self._outbox.waiting
        )
        metrics.gauge("bellpull_broker_parked", "Events that the broker refuses.").set_function(
            lambda: len(self._outbox.parked)
        )
        metrics.gauge("bellpull_broker_oldest_seconds", "Age of the oldest event that waits.").set_function(
            self._age_s
        )

    def _age_s(self) -> float:
        since = self._outbox.since()
        return 0.0 if since is None else max((utc_now() - since).total_seconds(), 0.0)

    @property
    def waiting(self) -> int:
        """Rows that wait, as far as they were read."""
        return self._outbox.waiting

    def problems(self) -> tuple[str, ...]:
        """Say what somebody should see to: degraded, not unready."""
        return problems(self._outbox, self._link)

    async def run(self) -> NoReturn:
        """Run for ever.

        Raises:
            ExceptionGroup: of `DiskFailed`: the journal cannot be read.
        """
        self._outbox.add_parked(await self._parts.outgoing.parked())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            group.create_task(self._write_down())
            group.create_task(self._hold())
        raise AssertionError("unreachable: none of them ends")

    async def _feed(self) -> NoReturn:
        after = 0
        while True:
            newest = self._parts.journal.newest()
            while rows := await self._parts.outgoing.waiting(after):
                self._outbox.add(rows)
                after = rows[-1].seq
                self._moved.set()
            await self._parts.journal.wait_beyond(newest)

    async def _write_down(self) -> NoReturn:
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            settled, self._settled = self._settled, []
            try:
                await self._parts.outgoing.settle(settled)
            except JournalError:
                self._settled = settled + self._settled
                self._to_write.set()
                await asyncio.sleep(1.0)

    # -- the connection --

    async def _hold(self) -> NoReturn:
        least, most = _PAUSES_S
        ceiling = least
        while True:
            self._link = replace(self._link, blocked=False)
            try:
                async with self._parts.connect() as channel:
                    await self._check(channel)
                    ceiling = least
                    await self._serve(channel)
                self._note_down("the connection was closed")
            except BrokerError as error:
                self._note_down(str(error))
            await asyncio.sleep(ceiling * random.uniform(0.5, 1.0))
            ceiling = min(ceiling * 2, most)

    def _note_down(self, why: str) -> None:
        if self._link.down != why:
            _log.warning("no way to the broker", problem=why)
        self._link = replace(self._link, down=why, blocked=False)

    async def _check(self, channel: Channel) -> None:
        """Try the way before the first row goes.

        Raises:
            BrokerError: nothing can be published.
        """
        outcome = await channel.send(self._parts.parcels.probe(self._next()))
        if outcome not in (Outcome.RETURNED, Outcome.CONFIRMED):
            missing = (f"the exchange {EVENTS} is not there, or may not be published to",)
            self._link = replace(self._link, missing=missing if outcome is Outcome.CLOSED else ())
            why = "it is short of memory or disk" if await channel.is_blocked() else outcome.value
            raise BrokerError(f"it did not take a first message: {why}")
        self._tried.clear()
        await self._try_agents(channel)
        self._link = replace(self._link, down=None)
        _log.info("connected to the broker", waiting=self._outbox.waiting, missing=self._link.missing)

    async def _try_agents(self, channel: Channel) -> None:
        """See which agents have a queue, of those that were not seen to have one on this connection."""
        agents = sorted(self._parts.rights().keys() - self._tried)
        missing: list[str] = []
        for start in range(0, len(agents), AT_ONCE):
            some = agents[start : start + AT_ONCE]
            ticks = [self._parts.parcels.tick(agent, self._next()) for agent in some]
            outcomes = await asyncio.gather(*map(channel.send, ticks))
            self._tried.update(agent for agent, each in zip(some, outcomes, strict=True) if each is Outcome.CONFIRMED)
            missing += [
                f"agent {agent} has no queue"
                for agent, each in zip(some, outcomes, strict=True)
                if each is Outcome.RETURNED
            ]
        self._link = replace(self._link, missing=tuple(missing))

    async def _serve(self, channel: Channel) -> None:
        """Send what is due until the channel closes; whatever is in flight then has ended, too."""
        again = self._loop.time() + _TRY_AGAIN_S
        async with asyncio.TaskGroup() as group:
            while channel.is_open:
                self._moved.clear()
                self._link = replace(self._link, blocked=await channel.is_blocked())
                if not self._link.blocked:
                    await self._send_due(channel, group)
                    if self._loop.time() > again:
                        await self._try_agents(channel)
                        again = self._loop.time() + _TRY_AGAIN_S
                await self._wait()

    async def _wait(self) -> None:
        """Return when there may be something to do."""
        next_s = self._outbox.next_due(self._loop.time())
        try:
            async with asyncio.timeout(_LOOK_S if next_s is None else min(next_s, _LOOK_S)):
                await self._moved.wait()
        except TimeoutError:
            return
        if self._outbox.in_flight:
            await asyncio.sleep(_LINGER_S)

    # -- rows --

    async def _send_due(self, channel: Channel, group: asyncio.TaskGroup) -> None:
        attempts = self._outbox.due(self._loop.time())
        if not attempts:
            return
        rows = {row.seq: row for row in await self._parts.outgoing.events([each.row.seq for each in attempts])}
        for attempt in attempts:
            row = rows.get(attempt.row.seq)
            if row is None:
                self._end(attempt, Outcome.GONE)
            else:
                group.create_task(self._send(channel, attempt, row))

    async def _send(self, channel: Channel, attempt: Attempt, row: Row) -> None:
        if row.repository:
            parcel = self._parts.parcels.event(row, event_key(row.repository, row.ref), self._next())
            outcome = await channel.send(parcel)
            if outcome is Outcome.RETURNED and not is_wanted(self._parts.rights().values(), row.repository):
                outcome = Outcome.UNWANTED
        else:
            outcome = await self._send_copies(channel, row)
        self._end(attempt, outcome)

    async def _send_copies(self, channel: Channel, row: Row) -> Outcome:
        """Send an event to every agent that it did not reach in an earlier attempt."""
        reached = self._reached.setdefault(row.seq, set())
        left = copies(self._parts.rights(), reached)
        parcels = [self._parts.parcels.event(row, key, self._next()) for key in left.values()]
        outcomes = await asyncio.gather(*map(channel.send, parcels))
        reached.update(agent for agent, each in zip(left, outcomes, strict=True) if each is Outcome.CONFIRMED)
        return next((worst for worst in _WORST if worst in outcomes), Outcome.UNWANTED)

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        settled = self._outbox.end(attempt, outcome, self._loop.time())
        self._ended.labels(outcome.value).inc()
        self._moved.set()
        if settled != Settled():
            for seq in (*settled.done, *settled.parked):
                self._reached.pop(seq, None)
            self._settled.append(settled)
            self._to_write.set()
        for seq in settled.parked:
            _log.error("the broker refuses an event; it is parked", number=seq, repository=attempt.row.repository)

    def _next(self) -> str:
        """Return what no other message of this process is numbered with."""
        self._tries += 1
        return str(self._tries)
