"""Log lines that strangers can cause: one at once, then one a minute, with how many were held back.

Lines are alike that have the same key, such as an address and a reason. The first of them is said at once. Of those
that come within a minute of it the last is said when the minute is over, with how many before it were not; and so on
for as long as they come. There are at most `MOST` keys in a minute: what has none of them any more shares one, so
that neither lines nor memory grow with the number of senders; the line says `held_back_of_many`.

Accepted: when a flood has taken all keys, the lines of others are held back with its own, until the minute is over.
"""

import asyncio
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, TypeVar

from bellpull.runtime.logs import Logger

__all__ = ["EVERY_S", "MOST", "Held", "Sparing", "SparingLog"]

EVERY_S: Final = 60.0
MOST: Final = 256
_LOOK_S: Final = 5.0
_OTHERS: Final = object()

_T = TypeVar("_T")


@dataclass(slots=True)
class _Said(Generic[_T]):
    at: float
    last: _T | None = None
    held: int = 0


class Held(NamedTuple, Generic[_T]):
    """What was held back: the last of it, how many more, and whether they had keys of their own no more."""

    last: _T
    more: int
    of_many: bool


class Sparing(Generic[_T]):
    """Decides what is said now and what is held back; `now` is in seconds of a clock that only goes forward.

    `due` has to be asked every few seconds: only there is a minute found to be over.
    """

    def __init__(self, *, every_s: float = EVERY_S, most: int = MOST) -> None:
        self._every_s = every_s
        self._most = most
        self._said: dict[Hashable, _Said[_T]] = {}

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._said)

    def says(self, key: Hashable, what: _T, now: float) -> bool:
        """Return whether `what` is said now; if not it may be what `due` gives later."""
        if key not in self._said and len(self._said) >= self._most:
            key = _OTHERS
        said = self._said.get(key)
        if said is None:
            self._said[key] = _Said(now)
            return True
        if said.last is not None:
            said.held += 1
        said.last = what
        return False

    def due(self, now: float) -> Iterator[Held[_T]]:
        """Yield what is said now of what was held back."""
        for key, said in list(self._said.items()):
            if now - said.at < self._every_s:
                continue
            del self._said[key]
            if said.last is not None:
                self._said[key] = _Said(now)
                yield Held(said.last, said.held, key is _OTHERS)


class SparingLog:
    """A log of warnings that repeat themselves, for one listener or one kind of senders.

    Args:
        log: where lines go.
        sparing: decides.
    """

    def __init__(self, log: Logger, sparing: Sparing[tuple[str, Mapping[str, Any]]] | None = None) -> None:
        self._log = log
        self._sparing = sparing or Sparing()

    def note(self, event: str, *key: Hashable, **fields: Any) -> None:
        """Note what somebody should look at, unless the like (same `event` and `key`) was said just before."""
        if self._sparing.says((event, *key), (event, fields), monotonic()):
            self._log.warning(event, **fields)

    async def run(self) -> None:
        """Say what was held back when it is time, for ever; and all of it at the end."""
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                self._tell(monotonic())
        finally:
            self._tell(float("inf"))

    def _tell(self, now: float) -> None:
        for (event, fields), more, of_many in self._sparing.due(now):
            self._log.warning(event, **fields, **{"held_back_of_many" if of_many else "held_back": more})
