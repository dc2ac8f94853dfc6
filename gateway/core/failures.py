"""How many failed checks an address has before it is told to come later (R40).

It is asked only after a check has failed, and changes only what the failed one is answered: 429 with a time in place
of 401 or 404. What is authentic is never asked about, so it passes whatever else came from its address: anybody can
make a provider send us bad signatures from the provider's own addresses. An IPv6 address is its /64 (`origin`).

Each origin has `BURST` failures, and one more every `EVERY_S` seconds; what it is refused beyond that does not count.
Past `_MOST` origins the one that failed least lately is forgotten, and so forgiven.
"""

from collections import OrderedDict
from typing import Final

from bellpull.runtime.origin import origin

__all__ = ["BURST", "EVERY_S", "LIMITED", "Failures"]

BURST: Final = 60
EVERY_S: Final = 1.0
LIMITED: Final = frozenset({401, 404})
"""Answers to a check that failed: who it is for, and who signed it."""
_MOST: Final = 4096


class Failures:
    """Counts them. Times are in seconds of a clock that only goes forward."""

    def __init__(self, *, burst: int = BURST, every_s: float = EVERY_S, most: int = _MOST) -> None:
        self._spare_s = burst * every_s
        self._every_s = every_s
        self._most = most
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many origins are remembered."""
        return len(self._whole_at)

    def fail(self, address: str, now: float) -> float | None:
        """Count a failed check; return in how many seconds there is room for one more if there is none now."""
        key = origin(address)
        used = max(self._whole_at.get(key, now) - now, 0.0) + self._every_s
        if used > self._spare_s:
            return min(used - self._spare_s, self._every_s)
        self._whole_at[key] = now + used
        self._whole_at.move_to_end(key)
        if len(self._whole_at) > self._most:
            self._whole_at.popitem(last=False)
        return None
