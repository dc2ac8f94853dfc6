"""What one Sync wants, and what runs of it: the entries of the inbox."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.core.announced import Announced
from bellpull.contract.report import Trigger, TriggerKind
from bellpull.contract.text import SyncName

__all__ = ["DRIFT", "INTERVAL", "URGENT", "Entry", "Pace", "Run"]

_RANK: Final = (
    TriggerKind.EVENTS,
    TriggerKind.PERSON,
    TriggerKind.CHANGE,
    TriggerKind.DRIFT,
    TriggerKind.INTERVAL,
)
"""What a run says started it, where several did."""
URGENT: Final = frozenset({TriggerKind.PERSON, TriggerKind.CHANGE})
"""Kinds that end a backing off; a new announcement does as well."""
DRIFT: Final = frozenset({TriggerKind.DRIFT})
INTERVAL: Final = frozenset({TriggerKind.INTERVAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a key runs by itself, and the longest it waits after failures."""

    interval: timedelta
    retry: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a key, and all that it answers.

    Attributes:
        key: the Sync.
        kinds: everything that started it.
        announcements: what was announced for its ref, oldest first.
        failures: how many runs failed in a row before it.
    """

    key: SyncName
    kinds: frozenset[TriggerKind]
    announcements: tuple[Announced, ...] = ()
    failures: int = 0

    @property
    def awaited(self) -> Announced | None:
        """The newest announcement: what Git should show."""
        return self.announcements[-1] if self.announcements else None

    @property
    def passed(self) -> tuple[Announced, ...]:
        """The announcements before it; each is to be answered too."""
        return self.announcements[:-1]

    @property
    def trigger(self) -> Trigger:
        """What a report says started it: the strongest kind, and all event ids."""
        kind = next(kind for kind in _RANK if kind in self.kinds)
        return Trigger(kind=kind, events=tuple(one.event for one in self.announcements))


@dataclass(slots=True, kw_only=True)
class Entry:
    """What is known of one key. `ready` and `hold` mean nothing without a want."""

    pace: Pace
    poll_at: datetime
    kinds: frozenset[TriggerKind] = frozenset()
    announcements: tuple[Announced, ...] = ()
    ready: datetime | None = None
    """From when the want may run."""
    hold: datetime | None = None
    """Until when it does not, after a run that did not end well."""
    drift_held: bool = False
    """Whether that run had a drift to undo as well, so that drifts wait too."""
    limited: bool = False
    """Whether that run was one too many that events caused, so that an interval does not wait."""
    run: Run | None = None
    aside: bool = False
    """Whether that run needs no slot any more."""
    fresh: bool = False
    """Whether something urgent came since the run began."""
    failures: int = 0
    lags: int = 0
    gone: bool = False
    """Whether it was forgotten, and only its run is left."""
    orphan: bool = False
    """Whether it was forgotten since its run began: that run puts nothing back."""

    def due_at(self) -> datetime:
        """When it runs next, were it not busy."""
        if self.ready is None:
            return self.poll_at
        drifted = TriggerKind.DRIFT in self.kinds and not self.drift_held
        if self.hold is None or drifted:
            return min(self.ready, self.poll_at)
        held = max(self.ready, self.hold)
        return min(held, self.poll_at) if self.limited else held

    def take(self, now: datetime) -> tuple[frozenset[TriggerKind], tuple[Announced, ...]]:
        """Take what may run at `now` out of the want: all of it, or a drift alone while the rest is held."""
        polls = self.poll_at <= now
        if self.hold is not None and self.hold > now and not (self.limited and polls):
            self.kinds -= DRIFT
            return DRIFT, ()
        taken = self.kinds | INTERVAL if polls else self.kinds, self.announcements
        self.kinds, self.announcements, self.ready, self.hold = frozenset(), (), None, None
        return taken
