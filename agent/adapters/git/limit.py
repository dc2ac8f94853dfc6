"""Until when an operation may go on, whoever waits for it."""

import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

__all__ = ["Limit", "StoppedError"]


class StoppedError(Exception):
    """The time was up, or nobody waits any more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """Until when an operation may go on (monotonic clock, seconds), unless it is stopped before."""

    seconds: float
    ends: float
    stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the limit that is `seconds` from now."""
        return cls(seconds=seconds, ends=monotonic() + seconds)

    @property
    def left(self) -> float:
        """How many seconds are left, and a little: nothing waits for less than that."""
        return max(0.001, self.ends - monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the time is up, or nobody waits any more."""
        return self.stop.is_set() or monotonic() > self.ends

    def check(self) -> None:
        """Go on, or not.

        Raises:
            StoppedError: not.
        """
        if self.is_over:
            raise StoppedError
