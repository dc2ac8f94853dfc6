"""How often events may make this agent look at a remote in vain (R29).

A forged or replayed event costs a fetch, and a thousand agents hear it. So looks that were caused by events and
found nothing new are limited per remote: a burst, then one in an interval. A look that found a new tip costs
nothing, so real pushes are never slowed; timers, drifts and people are not asked.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.report import TriggerKind

__all__ = ["BURST", "EVERY", "Allowance"]

BURST: Final = 5
EVERY: Final = timedelta(seconds=2)


@dataclass(slots=True)
class Allowance:
    """What each remote (any key that names it) may still cost in vain."""

    _spent_until: dict[str, datetime] = field(default_factory=dict)
    """When all that was spent is given back, at one look in `EVERY`; absent where nothing is spent."""

    def free_at(self, remote: str, kinds: frozenset[TriggerKind], now: datetime) -> datetime:
        """Return from when a run that was started by `kinds` may look at `remote`: `now` if at once."""
        spent_until = self._spent_until.get(remote)
        if spent_until is None or kinds != {TriggerKind.EVENTS}:
            return now
        return max(now, spent_until - (BURST - 1) * EVERY)

    def found_nothing(self, remote: str, kinds: frozenset[TriggerKind], now: datetime) -> None:
        """Note that a run that was started by `kinds` looked at `remote` in vain."""
        if kinds == {TriggerKind.EVENTS}:
            self._spent_until = {key: until for key, until in self._spent_until.items() if until > now}
            self._spent_until[remote] = max(now, self._spent_until.get(remote, now)) + EVERY
