"""How often events may make this agent look at a remote in vain (R29).

A forged or replayed event costs a look, and a thousand agents hear it. So looks that were caused by events are
limited per remote: a burst, then one in an interval. A look that found a new tip costs nothing, so real pushes are
never slowed; timers and people are not asked. A drift needs no look, so it pays for none. A look is paid for when it
begins, and given back, so that looks at the same time count as well, and one that failed was in vain.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.report import TriggerKind

__all__ = ["BURST", "EVERY", "Allowance"]

BURST: Final = 5
EVERY: Final = timedelta(seconds=2)
_EVENTS: Final = frozenset({TriggerKind.EVENTS})
_DRIFT: Final = frozenset({TriggerKind.DRIFT})


@dataclass(slots=True)
class Allowance:
    """What each remote (any key that names it) may still cost in vain."""

    _spent_until: dict[str, datetime] = field(default_factory=dict)
    """When all that was spent is given back, at one look in `EVERY`; absent where nothing is spent."""

    def take(self, remote: str, kinds: frozenset[TriggerKind], now: datetime) -> datetime:
        """Return from when a run that was started by `kinds` may look at `remote`: `now` if at once, and paid for."""
        if kinds - _DRIFT != _EVENTS:
            return now
        spent_until = max(now, self._spent_until.get(remote, now))
        free = spent_until - (BURST - 1) * EVERY
        if free > now:
            return free
        self._spent_until = {key: until for key, until in self._spent_until.items() if until > now}
        self._spent_until[remote] = spent_until + EVERY
        return now

    def give_back(self, remote: str, kinds: frozenset[TriggerKind]) -> None:
        """Note that a look that was paid for was not in vain."""
        if kinds - _DRIFT == _EVENTS and remote in self._spent_until:
            self._spent_until[remote] -= EVERY
