"""From the journal to RabbitMQ: what `gateway.core.outbox` decides, done.

Four things run side by side, and end together: what is accepted is fed to the outbox; what ended is written down, in
groups; a way to the broker is held (`gateway.app.way`); and on it, what is due is sent. Pushes are accepted all the
while: nothing here is waited for by them.

Accepted: what was confirmed and not yet written down when the process is killed is sent twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, NoReturn

from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from gateway.app.notices import Notices
from gateway.app.parcels import Parcels
from gateway.app.way import Channel, Way
from gateway.core.address import copies, event_key
from gateway.core.audience import Audience
from gateway.core.outbox import Outbox, problems
from gateway.core.sending import Attempt, Outcome, Settled
from gateway.ports.journal import Journal, JournalError, Row
from gateway.ports.outgoing import Outgoing

__all__ = ["Forwarder", "ForwarderParts"]

_log = logger("gateway.forwarder")
_LINGER_S: Final = 0.005
"""While much is in flight, so long is waited for more to end: the journal is then read once for all of it."""
_LOOK_S: Final = 0.5
"""How often an idle or blocked connection is looked at."""
_FINISH_S: Final = 0.05
_WORST: Final = (
    Outcome.CLOSED,
    Outcome.LOST,
    Outcome.TIMED_OUT,
    Outcome.NACKED,
    Outcome.RETURNED,
    Outcome.CONFIRMED,
)
"""Of copies of one event that ended differently, the first of these that occurs counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderParts:
    """What it works with.

    Attributes:
        journal: where it is heard that something was accepted.
        outgoing: what of it waits.
        parcels: makes what is published.
        audience: all enrolled agents, as of now.
        present: who of them was heard lately.
        connect: a new way to the broker; raises `BrokerError`.
        metrics: where it is counted.
        tick_s: how often who is present gets a tick.
    """

    journal: Journal
    outgoing: Outgoing
    parcels: Parcels
    audience: Callable[[], Audience]
    present: Callable[[], Awaitable[Collection[Name]]]
    connect: Callable[[], AbstractAsyncContextManager[Channel]]
    metrics: Metrics
    notices: Notices = field(default_factory=Notices)
    tick_s: float = 20.0


class Forwarder:
    """Sends what waits; run it with `run`."""

    def __init__(self, parts: ForwarderParts) -> None:
        self._parts = parts
        self._outbox = Outbox()
        self._way = Way(parts.connect, parts.parcels, self._agents, parts.present, parts.tick_s)
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._settled: list[Settled] = []
        self._to_write = asyncio.Event()
        self._reached: dict[int, set[Name]] = {}
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

    def _agents(self) -> Collection[Name]:
        return self._parts.audience().agents

    def _age_s(self) -> float:
        since = self._outbox.since()
        return 0.0 if since is None else max((utc_now() - since).total_seconds(), 0.0)

    @property
    def waiting(self) -> int:
        """Rows that wait, as far as they were read."""
        return self._outbox.waiting

    def ask(self, agent: Name) -> None:
        """Have an agent send its full state soon."""
        self._way.ask(agent)

    def problems(self) -> tuple[str, ...]:
        """Say what somebody should see to: degraded, not unready."""
        return problems(self._outbox, self._way.link)

    async def finish(self, within_s: float) -> int:
        """Wait until nothing waits that can go now, or the time is over; return how much waits then, by the disk."""
        end = self._loop.time() + within_s
        while left := await self._parts.outgoing.left():
            if not self._way.is_open or self._outbox.is_stuck or self._loop.time() > end:
                break
            await asyncio.sleep(_FINISH_S)
        return left

    async def run(self) -> NoReturn:
        """Run for ever.

        Raises:
            ExceptionGroup: of `DiskFailed`: the journal cannot be read.
        """
        self._outbox.add_parked(await self._parts.outgoing.parked())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            group.create_task(self._write_down())
            group.create_task(self._way.hold(self._serve))
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
                await self._parts.outgoing.settle(settled, utc_now())
            except JournalError:
                self._settled = settled + self._settled
                self._to_write.set()
                await asyncio.sleep(1.0)

    # -- rows --

    async def _serve(self, channel: Channel) -> None:
        """Send what is due until the channel closes; whatever is in flight then has ended, too."""
        async with asyncio.TaskGroup() as group:
            ticks = group.create_task(self._way.attend(channel))
            while channel.is_open:
                self._moved.clear()
                if await self._way.is_free(channel):
                    await self._send_due(channel, group)
                await self._wait()
            ticks.cancel()

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
            hearers = self._parts.audience().hearers(row.repository)
            key = event_key(row.repository, row.ref)
            parcel = self._parts.parcels.event(row, key, self._way.number(), hearers.keys)
            outcome = await channel.send(parcel)
            if outcome is Outcome.RETURNED and not hearers.number:
                outcome = Outcome.UNWANTED
            if outcome in (Outcome.CONFIRMED, Outcome.UNWANTED):
                self._parts.notices.push(parcel)
        else:
            outcome = await self._send_copies(channel, row)
        self._end(attempt, outcome)

    async def _send_copies(self, channel: Channel, row: Row) -> Outcome:
        """Send an event to every agent that it did not reach in an earlier attempt."""
        reached = self._reached.setdefault(row.seq, set())
        left = copies(self._agents(), reached)
        parcels = [self._parts.parcels.event(row, key, self._way.number()) for key in left.values()]
        outcomes = await asyncio.gather(*map(channel.send, parcels))
        reached.update(agent for agent, each in zip(left, outcomes, strict=True) if each is Outcome.CONFIRMED)
        return next((worst for worst in _WORST if worst in outcomes), Outcome.UNWANTED)

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        settled = self._outbox.end(attempt, outcome, self._loop.time())
        self._ended.labels(outcome.value).inc()
        self._moved.set()
        if settled != Settled():
            for seq in (*settled.done, *settled.parked, *settled.gone):
                self._reached.pop(seq, None)
            self._settled.append(settled)
            self._to_write.set()
        for seq in settled.parked:
            _log.error("the broker refuses an event; it is parked", number=seq, repository=attempt.row.repository)
