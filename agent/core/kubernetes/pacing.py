"""How often an object is written again: to make sure of it, and against somebody who writes it too.

Times are seconds of a clock that only goes forward.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from agent.core.kubernetes.object import ObjectId

__all__ = ["Confirmations", "Fights"]

_LEAST_S: Final = 10.0
_MOST_S: Final = 1800.0
"""As often as everything is looked at anyway."""
_WINDOW_S: Final = 120.0
_MANY: Final = 5
_FIRST_HOLD_S: Final = 2.0
_GROWTH: Final = 3
_LONGEST_HOLD_S: Final = 300.0


class Confirmations:
    """When an object that moved, but not in what is ours, may be written to make sure (M1).

    Once in ten seconds at most; the pause doubles each time there was nothing to write.
    """

    def __init__(self) -> None:
        self._next: dict[ObjectId, tuple[float, float]] = {}

    def due(self, which: ObjectId, now: float) -> float:
        """Return when it may be: `now`, or later."""
        return max(now, self._next.get(which, (now, 0.0))[0])

    def done(self, which: ObjectId, now: float, *, wrote: bool) -> None:
        """Note what came of one."""
        pause_s = self._next.get(which, (0.0, 0.0))[1]
        pause_s = _LEAST_S if wrote else min(_MOST_S, max(_LEAST_S, pause_s * 2))
        self._next[which] = (now + pause_s, pause_s)

    def forget(self, which: ObjectId) -> None:
        """Note that it is no longer there."""
        self._next.pop(which, None)


@dataclass(slots=True)
class _Fight:
    times: deque[float] = field(default_factory=deque)
    hold_s: float = 0.0
    until: float = float("-inf")


class Fights:
    """Objects that are changed back as often as they are corrected: more than five times in two minutes.

    From then on a correction is held for two seconds, and each time three times as long, up to five minutes; until
    it stays as it is for two minutes longer than it was held.
    """

    def __init__(self) -> None:
        self._fights: dict[ObjectId, _Fight] = {}

    def corrected(self, which: ObjectId, now: float) -> float:
        """Note that it was made what it is to be, once again; return for how long the next time is held."""
        fight = self._fights.setdefault(which, _Fight())
        if fight.hold_s and now - fight.until > _WINDOW_S:
            fight.hold_s = 0.0
            fight.times.clear()
        fight.times.append(now)
        while fight.times[0] < now - _WINDOW_S:
            fight.times.popleft()
        if fight.hold_s:
            fight.hold_s = min(_LONGEST_HOLD_S, fight.hold_s * _GROWTH)
        elif len(fight.times) > _MANY:
            fight.hold_s = _FIRST_HOLD_S
        if fight.hold_s:
            fight.until = now + fight.hold_s
        return fight.hold_s

    def due(self, which: ObjectId, now: float) -> float:
        """Return when it may be corrected again: `now`, or later."""
        fight = self._fights.get(which)
        return now if fight is None else max(now, fight.until)

    def forget(self, which: ObjectId) -> None:
        """Note that it is to be something else, or nothing."""
        self._fights.pop(which, None)
