"""The way to the broker: held, tried before it is used, and what is missing at its end.

After each connect, and before the first row, the way is tried: a tick that nobody hears shows that there is an
exchange, and one to each enrolled agent that it has a queue; what is missing is named. An agent that was missing, or
was enrolled since, is tried again every half a minute.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, NoReturn, Protocol

from bellpull.contract.routing import EVENTS
from bellpull.contract.text import Name
from bellpull.runtime.logs import logger
from bellpull.runtime.rabbitmq.connect import BrokerError
from gateway.adapters.publisher import Parcel
from gateway.app.parcels import Parcels
from gateway.core.outbox import AT_ONCE
from gateway.core.pauses import Pauses
from gateway.core.sending import Link, Outcome

__all__ = ["Channel", "Way"]

_log = logger("gateway.forwarder")
_TRY_AGAIN_S: Final = 30.0


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


class Way:
    """Leads there; `hold` it.

    Args:
        connect: a new connection; raises `BrokerError`.
        parcels: makes what it is tried with.
        agents: who is enrolled as of now.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Channel]],
        parcels: Parcels,
        agents: Callable[[], Iterable[Name]],
    ) -> None:
        self._connect = connect
        self._parcels = parcels
        self._agents = agents
        self._link = Link(down="not connected yet")
        self._found: set[Name] = set()
        self._try_again = 0.0
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
        """Whether the broker takes something now; if it does, look for agents that had no queue, now and then."""
        self._link = replace(self._link, blocked=await channel.is_blocked())
        if not self._link.blocked and asyncio.get_running_loop().time() > self._try_again:
            await self._try_agents(channel)
        return not self._link.blocked

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
        await self._try_agents(channel)
        self._link = replace(self._link, down=None)

    async def _try_agents(self, channel: Channel) -> None:
        """See which agents have a queue, of those that were not seen to have one on this connection."""
        agents = sorted({*self._agents()} - self._found)
        missing: list[str] = []
        for start in range(0, len(agents), AT_ONCE):
            some = agents[start : start + AT_ONCE]
            ticks = [self._parcels.tick(agent, self.number()) for agent in some]
            outcomes = await asyncio.gather(*map(channel.send, ticks))
            found = dict(zip(some, outcomes, strict=True))
            self._found.update(agent for agent, each in found.items() if each is Outcome.CONFIRMED)
            missing += [f"agent {agent} has no queue" for agent, each in found.items() if each is Outcome.RETURNED]
        self._link = replace(self._link, missing=tuple(missing))
        self._try_again = asyncio.get_running_loop().time() + _TRY_AGAIN_S
