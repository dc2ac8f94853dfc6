"""The way to the gateway: what the agent hears, and what it says back."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from agent.core.hear import Ack
from bellpull.contract.cursor import Cursor
from bellpull.contract.standing import Standing
from bellpull.contract.stream import Frame, MessageFrame, Receipt

__all__ = ["AccessRefusedError", "Connected", "Queue", "QueueError", "ReportRefusedError"]


class QueueError(Exception):
    """The gateway could not be reached, or answered something else than was agreed; it is tried again."""


class AccessRefusedError(QueueError):
    """The gateway knows no such agent or token; it is tried again, slowly, as enrolment may come later."""


class ReportRefusedError(QueueError):
    """The gateway will not take this report, whenever it comes: sending it again is of no use."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection stands, and no gateway has said anything on it yet."""


class Queue(Protocol):
    """One way to the gateways; every method may be tried again after `QueueError`."""

    @property
    def silence(self) -> timedelta:
        """For how long nothing may come while all is well (R31)."""
        ...

    def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame | Connected, None]:
        """Open one connection and yield what comes after `cursor`; ends when the other side ends it.

        The first of it proves that the connection stands. A way that keeps by itself what was not settled has no
        use for `cursor`.

        Raises:
            QueueError: it could not be opened, or broke.
        """
        ...

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        """Say what becomes of a message that the `listen` under way has yielded.

        Raises:
            QueueError: nobody can be told any more; the message comes again.
        """
        ...

    async def send(self, seal: str, body: bytes) -> Receipt:
        """Hand over a sealed report or heartbeat; returns once the gateway has it.

        Raises:
            ReportRefusedError: it will not have it.
            QueueError: it may or may not have it; send the same bytes again.
        """
        ...

    async def standing(self) -> Standing | None:
        """Return how this agent stands with the gateway; none where nobody can say.

        Raises:
            QueueError: it did not answer.
        """
        ...
