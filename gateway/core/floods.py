"""Who says so much over the broker that others would not be heard any more, and is left out for a while.

All that agents say comes through one bounded queue, of which the oldest goes when it is full. A stolen credential
may fill it; so whoever says more than any honest agent does, of which little counts, is left out of it. A refused
message weighs ten times one that is taken: an agent that comes back with a thousand Syncs says as much at once.
"""

from collections import Counter
from typing import Final

__all__ = ["Floods"]

_WINDOW_S: Final = 10.0
_MOST: Final = 5_000
_REFUSED: Final = 10
_LEFT_OUT_S: Final = 60.0


class Floods:
    """Counts what comes under each key; times are of a clock that is never set back, in seconds."""

    def __init__(self) -> None:
        self._weights: Counter[str] = Counter()
        self._until_s = 0.0
        self._left_out: dict[str, float] = {}

    def add(self, key: str, now: float, *, refused: bool) -> bool:
        """Count a message; say whether `key` is to be left out from now on."""
        if now >= self._until_s:
            self._weights.clear()
            self._until_s = now + _WINDOW_S
        self._weights[key] += _REFUSED if refused else 1
        if self._weights[key] <= _MOST or key in self._left_out:
            return False
        self._left_out[key] = now + _LEFT_OUT_S
        return True

    def over(self, now: float) -> bool:
        """Forget of whom the time is over; say whether that was anybody."""
        over = [key for key, until in self._left_out.items() if now >= until]
        for key in over:
            del self._left_out[key]
        return bool(over)

    @property
    def left_out(self) -> frozenset[str]:
        """The keys that are left out now."""
        return frozenset(self._left_out)
