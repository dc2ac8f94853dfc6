"""What is said over the broker, heard by this gateway as by every other (R22), until the process ends.

What agents say counts as it does by POST (`gateway.app.words`), what other gateways say tells what they accepted
(`gateway.app.elsewhere`); each is heard on a way of its own. Nobody is answered: what does not count is logged
sparingly, and what cannot be kept now is tried until it can be, while the broker keeps what follows. Of whom the
state is not known, as what it said was missed, is asked for it. Who floods the queue is not heard for a while, so
that the others are (`gateway.core.floods`).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Final, NoReturn

from bellpull.contract.routing import report_key
from bellpull.contract.text import Name
from bellpull.runtime.logs import logger
from bellpull.runtime.rabbitmq.connect import BrokerError
from gateway.adapters.ears import AgentsHeard, Said, Told
from gateway.app.admission import AgentsParts
from gateway.app.elsewhere import Elsewhere
from gateway.app.turns import TooOften
from gateway.app.words import NOT_NOW, NotTaken, Words
from gateway.core.floods import Floods
from gateway.core.pauses import Pauses

__all__ = ["Overhearing"]

_log = logger("gateway.overhearing")
_AGAIN_S: Final = 1.0
_LOOK_S: Final = 1.0


class Overhearing:
    """Hears them; run it with `run`.

    Args:
        parts: where it goes, and within which records.
        agents: a new way to hear agents; raises `BrokerError`, also while it is iterated.
        gateways: the same for other gateways.
        ask: has an agent send its full state, where that is not known (R22).
    """

    def __init__(
        self,
        parts: AgentsParts,
        agents: Callable[[], AbstractAsyncContextManager[AgentsHeard]],
        gateways: Callable[[], AbstractAsyncContextManager[AsyncIterator[Told]]],
        ask: Callable[[Name], None],
    ) -> None:
        self._parts = parts
        self._ask = ask
        self._agents = agents
        self._gateways = gateways
        self._words = Words(parts)
        self._elsewhere = Elsewhere(parts)
        self._floods = Floods()
        self._hears: AgentsHeard | None = None
        self._down: dict[str, str] = dict.fromkeys(("agents", "other gateways"), "not connected yet")
        self._heard = parts.metrics.counter(
            "bellpull_broker_heard", "Messages of agents and other gateways, by what became of them.", ("outcome",)
        )

    def problems(self) -> tuple[str, ...]:
        """Say what somebody should see to: degraded, not unready."""
        down = (f"{who} are not heard over the broker: {why}" for who, why in self._down.items())
        return (*down, *map(_flooded, sorted(self._floods.left_out)))

    async def run(self) -> NoReturn:
        """Run for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("agents", self._hear_agents))
            group.create_task(self._keep("other gateways", self._hear_gateways))
            group.create_task(self._let_in())
        raise AssertionError("unreachable: none of them ends")

    async def _keep(self, who: str, hear: Callable[[Callable[[], None]], Awaitable[None]]) -> NoReturn:
        """Have `hear` use one connection after the other; it says when one stands."""
        pauses = Pauses()

        def stands() -> None:
            pauses.was_of_use()
            self._down.pop(who, None)
            _log.info("heard over the broker", who=who)

        while True:
            try:
                await hear(stands)
            except BrokerError as error:
                if self._down.get(who) != str(error):
                    _log.warning("not heard over the broker", who=who, problem=str(error))
                self._down[who] = str(error)
            await asyncio.sleep(pauses.next_s(random.random()))

    async def _hear_gateways(self, stands: Callable[[], None]) -> None:
        async with self._gateways() as heard:
            stands()
            async for told in heard:
                await self._until_done("event refused", None, partial(self._elsewhere.take, told.seal, told.body))

    async def _hear_agents(self, stands: Callable[[], None]) -> None:
        clock = asyncio.get_running_loop().time
        async with self._agents() as self._hears:
            await self._leave_out()
            stands()
            async for said in self._hears:
                taken = await self._take(said)
                if self._floods.add(said.key, clock(), refused=not taken):
                    _log.error("an agent is not heard for a while", problem=_flooded(said.key))
                    await self._leave_out()

    async def _leave_out(self) -> None:
        """Hear all, or, where somebody floods, all who are enrolled but them."""
        left_out = self._floods.left_out
        enrolled = {report_key(agent) for agent in self._parts.enrolments().records}
        if self._hears is not None:
            await self._hears.hear(enrolled - left_out if left_out else None)

    async def _let_in(self) -> NoReturn:
        """Hear again whose time is over; on a connection that goes, that is seen to by who hears it."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._floods.over(clock()):
                with suppress(BrokerError):
                    await self._leave_out()

    async def _take(self, said: Said) -> bool:
        """Take what an agent says; says whether it counts."""
        record = self._parts.enrolments().records.get(said.agent) if said.agent is not None else None
        if record is None:
            why = "nobody who is enrolled is vouched for by the broker, under its own key"
            return self._refuse("report refused", said.agent, 401, why)

        async def take() -> None:
            with self._words.turn(record):
                receipt = await self._words.take(record, said.seal, said.body)
            if receipt.want_full:
                self._ask(record.agent)

        return await self._until_done("report refused", record.agent, take)

    async def _until_done(self, event: str, agent: Name | None, take: Callable[[], Awaitable[None]]) -> bool:
        """Do it until it is done; says whether it counted."""
        while True:
            try:
                await take()
            except TooOften as error:
                return self._refuse(event, agent, 429, str(error))
            except NotTaken as error:
                if error.status != NOT_NOW:
                    return self._refuse(event, agent, error.status, error.reason)
                await asyncio.sleep(_AGAIN_S)
            else:
                self._heard.labels("taken").inc()
                return True

    def _refuse(self, event: str, agent: Name | None, status: int, reason: str) -> bool:
        self._heard.labels("refused").inc()
        self._parts.refused.note(event, agent or "", status, agent=agent, status=status, reason=reason)
        return False


def _flooded(key: str) -> str:
    agent = key.partition(".")[2]
    return (
        f"agent {agent} says more over the broker than an agent does, and is not heard for a minute:"
        " if its credential was stolen, remove its record and its user in RabbitMQ, and enroll it anew"
    )
