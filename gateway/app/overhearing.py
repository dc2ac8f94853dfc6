"""What agents say over the broker, heard by this gateway as every other does (R22), until the process ends.

A message counts as it does by POST (`gateway.app.words`), and nobody is answered: what does not count is logged
sparingly, and what cannot be kept now is tried until it can be, while the broker keeps what follows. What was missed
while there was no way comes with the agents' next full states.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn, Protocol

from bellpull.contract.text import Name
from bellpull.runtime.logs import logger
from bellpull.runtime.rabbitmq.connect import BrokerError
from gateway.app.admission import AgentsParts
from gateway.app.enrolment import Enrolment
from gateway.app.turns import TooOften
from gateway.app.words import NOT_NOW, NotTaken, Words
from gateway.core.pauses import Pauses

__all__ = ["Overhearing", "Said"]

_log = logger("gateway.overhearing")
_AGAIN_S: Final = 1.0


class Said(Protocol):
    """A message; see `gateway.adapters.ears.Said`."""

    @property
    def agent(self) -> Name | None:
        """Who is vouched for by the broker."""
        ...

    @property
    def seal(self) -> str:
        """Over the body."""
        ...

    @property
    def body(self) -> bytes:
        """As it came."""
        ...


class Overhearing:
    """Hears them; run it with `run`.

    Args:
        parts: where it goes, and within which records.
        connect: a new way to the broker; raises `BrokerError`, also while it is iterated.
    """

    def __init__(
        self, parts: AgentsParts, connect: Callable[[], AbstractAsyncContextManager[AsyncIterator[Said]]]
    ) -> None:
        self._parts = parts
        self._connect = connect
        self._words = Words(parts)
        self._down: str | None = "not connected yet"
        self._heard = parts.metrics.counter(
            "bellpull_broker_heard", "Messages of agents, by what became of them.", ("outcome",)
        )

    def problems(self) -> tuple[str, ...]:
        """Say what somebody should see to: degraded, not unready."""
        return () if self._down is None else (f"agents are not heard over the broker: {self._down}",)

    async def run(self) -> NoReturn:
        """Run for ever."""
        pauses = Pauses()
        while True:
            try:
                async with self._connect() as heard:
                    pauses.was_of_use()
                    self._down = None
                    _log.info("agents are heard over the broker")
                    async for said in heard:
                        await self._take(said)
            except BrokerError as error:
                if self._down != str(error):
                    _log.warning("agents are not heard over the broker", problem=str(error))
                self._down = str(error)
            await asyncio.sleep(pauses.next_s(random.random()))

    async def _take(self, said: Said) -> None:
        record = self._parts.enrolments().records.get(said.agent) if said.agent is not None else None
        if record is None:
            self._refuse(said.agent, 401, "nobody who is enrolled is vouched for by the broker, under its own key")
            return
        while not await self._is_done_with(said, record):  # noqa: ASYNC110 - it is the disk that is waited for
            await asyncio.sleep(_AGAIN_S)

    async def _is_done_with(self, said: Said, record: Enrolment) -> bool:
        try:
            with self._words.turn(record):
                await self._words.take(record, said.seal, said.body)
        except TooOften as error:
            self._refuse(record.agent, 429, str(error))
        except NotTaken as error:
            if error.status == NOT_NOW:
                return False
            self._refuse(record.agent, error.status, error.reason)
        else:
            self._heard.labels("taken").inc()
        return True

    def _refuse(self, agent: Name | None, status: int, reason: str) -> None:
        self._heard.labels("refused").inc()
        self._parts.refused.note("report refused", agent or "", status, agent=agent, status=status, reason=reason)
