"""The way to the broker: held, tried before it is used, and what is missing at its end.

After each connect, and before the first row, the way is tried: a tick that nobody hears shows that there is an
exchange, and one to each enrolled agent that its own key leads to a queue; what is missing is named. From then on
ticks go to who is missing, and to who is there: agents know by them that they would hear (R31). One that is away gets
none, as its queue is bounded.

That an event was taken says only that some queue took it, of another agent or of a gateway. But it went under the own
key of each who should hear it, by which ticks go: whom they reach heard it. An agent that was missing is told to look
at everything once it is not (R1).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import NoReturn, Protocol

from bellpull.contract.routing import EVENTS
from bellpull.contract.text import Name
from bellpull.runtime.logs import logger
from bellpull.runtime.rabbitmq.connect import BrokerError
from bellpull.runtime.rabbitmq.publish import Parcel
from gateway.app.parcels import Parcels
from gateway.core.outbox import AT_ONCE
from gateway.core.pauses import Pauses
from gateway.core.sending import Link, Outcome

__all__ = ["Channel", "Way"]

_log = logger("gateway.forwarder")


class Channel(Protocol):
    """A way to the broker; see `bellpull.runtime.rabbitmq.publish.Publisher`."""

    @property
    def is_open(self) -> bool:
        """Whether more can be sent."""
        ...

    async def is_blocked(self) -> bool:
        """Whether the broker takes nothing for now."""
        ...

    async def hang_up(self) -> None:
        """Let the connection go; whatever is in flight ends."""
        ...

    async def send(self, parcel: Parcel) -> Outcome:
        """Publish, and return how it ended."""
        ...


class Way:
    """Leads there; `hold` it.

    Args:
        connect: a new connection; raises `BrokerError`.
        parcels: makes what it is tried with.
        agents: who is enrolled as of now.
        present: who of them was heard lately.
        tick_s: how often they get a tick.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Channel]],
        parcels: Parcels,
        agents: Callable[[], Iterable[Name]],
        present: Callable[[], Awaitable[Collection[Name]]],
        tick_s: float = 20.0,
    ) -> None:
        self._connect = connect
        self._parcels = parcels
        self._agents = agents
        self._present = present
        self._tick_s = tick_s
        self._link = Link(down="not connected yet")
        self._found: set[Name] = set()
        """On this connection."""
        self._missing: set[Name] = set()
        self._asked: set[Name] = set()
        self._sent = 0

    @property
    def link(self) -> Link:
        """How it stands."""
        return self._link

    @property
    def is_open(self) -> bool:
        """Whether something can be sent now."""
        return self._link.down is None and not self._link.blocked

    def number(self) -> str:
        """Return what no other message of this process is numbered with."""
        self._sent += 1
        return str(self._sent)

    def ask(self, agent: Name) -> None:
        """Have an agent send its full state, in place of its next tick."""
        self._asked.add(agent)

    async def hold(self, serve: Callable[[Channel], Awaitable[None]]) -> NoReturn:
        """Have `serve` use one channel after the other, for ever; it returns when its channel is closed."""
        pauses = Pauses()
        while True:
            try:
                async with self._connect() as channel:
                    await self._open(channel)
                    pauses.was_of_use()
                    _log.info("connected to the broker", missing=self._link.missing)
                    await serve(channel)
                self._note_down("the connection was closed")
            except BrokerError as error:
                self._note_down(str(error))
            await asyncio.sleep(pauses.next_s(random.random()))

    async def is_free(self, channel: Channel) -> bool:
        """Whether the broker takes something now."""
        self._link = replace(self._link, blocked=await channel.is_blocked())
        return not self._link.blocked

    async def attend(self, channel: Channel) -> None:
        """Send ticks for as long as the channel is open, and hang up when there is no answer.

        A network that passes nothing on would else be noticed by the heartbeat only, which takes a minute.
        """
        while channel.is_open:
            await asyncio.sleep(self._tick_s)
            if await channel.send(self._parcels.probe(self.number())) is Outcome.TIMED_OUT:
                if not await channel.is_blocked():
                    await channel.hang_up()
            elif not self._link.blocked:
                agents = {*self._agents()}
                await self._try_agents(channel, agents - self._found | (agents & {*await self._present()}))

    async def look(self) -> Link:
        """Connect once and return how it stands; raises nothing of the broker's."""
        try:
            async with self._connect() as channel:
                await self._open(channel)
        except BrokerError as error:
            self._link = replace(self._link, down=str(error))
        return self._link

    def _note_down(self, why: str) -> None:
        if self._link.down != why:
            _log.warning("no way to the broker", problem=why)
        self._link = replace(self._link, down=why, blocked=False)

    async def _open(self, channel: Channel) -> None:
        """Try the way before the first row goes.

        Raises:
            BrokerError: nothing can be published.
        """
        outcome = await channel.send(self._parcels.probe(self.number()))
        if outcome not in (Outcome.RETURNED, Outcome.CONFIRMED):
            missing = (f"the exchange {EVENTS} is not there, or may not be published to",)
            self._link = replace(self._link, missing=missing if outcome is Outcome.CLOSED else ())
            why = "it is short of memory or disk" if await channel.is_blocked() else outcome.value
            raise BrokerError(f"it did not take a first message: {why}")
        self._found.clear()
        await self._try_agents(channel, {*self._agents()})
        self._link = replace(self._link, down=None)

    async def _try_agents(self, channel: Channel, agents: Collection[Name]) -> None:
        """See which of the agents can be reached, and have those that could not be look at everything."""
        some = sorted(agents)
        for start in range(0, len(some), AT_ONCE):
            await asyncio.gather(*(self._try(channel, agent) for agent in some[start : start + AT_ONCE]))
        self._missing.intersection_update(self._agents())
        missing = tuple(f"agent {agent} has no queue, or it is not bound" for agent in sorted(self._missing))
        self._link = replace(self._link, missing=missing)

    async def _try(self, channel: Channel, agent: Name) -> None:
        make = self._parcels.state_requested if agent in self._asked else self._parcels.tick
        outcome = await channel.send(make(agent, self.number()))
        if outcome is Outcome.CONFIRMED:
            self._asked.discard(agent)
        if outcome is Outcome.CONFIRMED and agent in self._missing:
            outcome = await channel.send(self._parcels.resync(agent, self.number()))
        if outcome is Outcome.CONFIRMED:
            self._found.add(agent)
            self._missing.discard(agent)
        elif outcome is Outcome.RETURNED:
            self._found.discard(agent)
            self._missing.add(agent)
