"""What is said over the broker, heard by this gateway as by every other (R22), until the process ends.

What agents say counts as it does by POST (`gateway.app.words`), what other gateways say tells what they accepted
(`gateway.app.elsewhere`). Nobody is answered: what does not count is logged sparingly, and what cannot be kept now is
tried until it can be, while the broker keeps what follows. Of whom the state is not known, as what it said was
missed, is asked for it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn, assert_never

from bellpull.contract.text import Name
from bellpull.runtime.logs import logger
from bellpull.runtime.rabbitmq.connect import BrokerError
from gateway.adapters.ears import Said, Told
from gateway.app.admission import AgentsParts
from gateway.app.elsewhere import Elsewhere
from gateway.app.turns import TooOften
from gateway.app.words import NOT_NOW, NotTaken, Words
from gateway.core.pauses import Pauses

__all__ = ["Overhearing"]

_log = logger("gateway.overhearing")
_AGAIN_S: Final = 1.0


class Overhearing:
    """Hears them; run it with `run`.

    Args:
        parts: where it goes, and within which records.
        connect: a new way to the broker; raises `BrokerError`, also while it is iterated.
        ask: has an agent send its full state, where that is not known (R22).
    """

    def __init__(
        self,
        parts: AgentsParts,
        connect: Callable[[], AbstractAsyncContextManager[AsyncIterator[Said | Told]]],
        ask: Callable[[Name], None],
    ) -> None:
        self._parts = parts
        self._ask = ask
        self._connect = connect
        self._words = Words(parts)
        self._elsewhere = Elsewhere(parts)
        self._down: str | None = "not connected yet"
        self._heard = parts.metrics.counter(
            "bellpull_broker_heard", "Messages of agents and other gateways, by what became of them.", ("outcome",)
        )

    def problems(self) -> tuple[str, ...]:
        """Say what somebody should see to: degraded, not unready."""
        return () if self._down is None else (f"nothing is heard over the broker: {self._down}",)

    async def run(self) -> NoReturn:
        """Run for ever."""
        pauses = Pauses()
        while True:
            try:
                async with self._connect() as heard:
                    pauses.was_of_use()
                    self._down = None
                    _log.info("what is said over the broker is heard")
                    async for said in heard:
                        await self._take(said)
            except BrokerError as error:
                if self._down != str(error):
                    _log.warning("nothing is heard over the broker", problem=str(error))
                self._down = str(error)
            await asyncio.sleep(pauses.next_s(random.random()))

    async def _take(self, message: Said | Told) -> None:
        match message:
            case Said():
                await self._hear_agent(message)
            case Told():
                await self._hear_gateway(message)
            case _:
                assert_never(message)

    async def _hear_agent(self, said: Said) -> None:
        record = self._parts.enrolments().records.get(said.agent) if said.agent is not None else None
        if record is None:
            why = "nobody who is enrolled is vouched for by the broker, under its own key"
            self._refuse("report refused", said.agent, 401, why)
            return

        async def take() -> None:
            with self._words.turn(record):
                receipt = await self._words.take(record, said.seal, said.body)
            if receipt.want_full:
                self._ask(record.agent)

        await self._until_done("report refused", record.agent, take)

    async def _hear_gateway(self, told: Told) -> None:
        await self._until_done("event refused", None, lambda: self._elsewhere.take(told.seal, told.body))

    async def _until_done(self, event: str, agent: Name | None, take: Callable[[], Awaitable[None]]) -> None:
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
                return self._heard.labels("taken").inc()

    def _refuse(self, event: str, agent: Name | None, status: int, reason: str) -> None:
        self._heard.labels("refused").inc()
        self._parts.refused.note(event, agent or "", status, agent=agent, status=status, reason=reason)
