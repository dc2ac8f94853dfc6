"""Values of sending what waits for the broker: rows, attempts, how they end, and what is to be remembered of it."""

from dataclasses import dataclass
from datetime import datetime

from bellpull.runtime.rabbitmq.outcome import Outcome

__all__ = ["Attempt", "Lane", "Link", "Outcome", "Row", "Settled"]

Lane = tuple[str, str]
"""Repository and ref: what must not overtake each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One that waits: its number, what it is about (a ref is empty where it is about none), when it was accepted."""

    seq: int
    repository: str
    ref: str
    accepted: datetime

    @property
    def lane(self) -> Lane:
        """What it must not overtake."""
        return (self.repository, self.ref) if self.ref else ("", str(self.seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A row on its way; `number` is that of no other attempt, so that no two ever travel under one id."""

    row: Row
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is to be remembered on disk: rows that wait no longer.

    Attributes:
        done: confirmed, or wanted by nobody.
        folded: each with the row that stands for it.
        parked: never to be sent again.
        gone: not there any more, with what was folded into it; nobody heard it.
    """

    done: tuple[int, ...] = ()
    folded: tuple[tuple[int, int], ...] = ()
    parked: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The way to the broker.

    Attributes:
        down: why there is none; none if there is.
        blocked: whether the broker takes nothing, as it is short of memory or disk.
        missing: what was looked for and is not there: an exchange, or agents without a queue.
    """

    down: str | None = None
    blocked: bool = False
    missing: tuple[str, ...] = ()
