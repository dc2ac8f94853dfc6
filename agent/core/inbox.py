"""Which Syncs are dirty, busy, due. A message, a timer, a drift, a start and a person all come in here (P6).

Whatever is offered for a key is gathered into one want, and a run takes all of it. The properties:

- nothing offered is lost: it is in the want, or in a run, and a run that did not end well puts it back;
- one run of a key at a time, `slots` runs in all, what has been ready longest first; a run that has only a command
  to wait for stands `aside`, and takes no slot any more;
- a key offered while it is busy runs again;
- the order and the repetition of offers change nothing (`announced.gather` is a set; so are the kinds);
- failures back off; a new announcement, a change or a person does not wait for that;
- a drift waits only where undoing one went wrong: it needs no Git, so it runs alone while the rest backs off (P13);
- events, whatever their spread and however many, never put off the look that an interval is for (R29).

It only decides: `due` says what to start, and whoever started it says how it ended by exactly one of `done`,
`failed`, `waiting`, `postponed` and `interrupted`. Time and chance (0 to 1) are arguments.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from agent.core.announced import Announced, gather
from agent.core.backoff import backoff, jitter, lag_delay
from agent.core.wants import DRIFT, URGENT, Entry, Pace, Run
from bellpull.contract.report import TriggerKind
from bellpull.contract.text import CommitId, MessageId, SyncName

__all__ = ["Inbox", "Pace", "Run"]

_AWAITED: Final = frozenset({TriggerKind.EVENTS, TriggerKind.DRIFT})
"""What is put back when Git does not show what is awaited; whoever wanted a look had it."""


@dataclass(slots=True)
class Inbox:
    """The inbox of one agent; `slots` runs at a time: a run waits for others more than it works."""

    slots: int = 8
    _entries: dict[SyncName, Entry] = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[SyncName]:
        """Everything that is watched."""
        return frozenset(key for key, entry in self._entries.items() if not entry.gone)

    @property
    def busy(self) -> frozenset[SyncName]:
        """What runs, also of keys that were forgotten meanwhile."""
        return frozenset(key for key, entry in self._entries.items() if entry.run)

    def watch(self, key: SyncName, pace: Pace, now: datetime, chance: float) -> None:
        """Begin to watch `key`, or change its pace. A new one first runs when offered, or after an interval."""
        poll_at = now + jitter(pace.interval, chance)
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = Entry(pace=pace, poll_at=poll_at)
            return
        entry.pace, entry.gone = pace, False
        entry.poll_at = min(entry.poll_at, poll_at)

    def forget(self, key: SyncName) -> None:
        """Stop watching `key`, with all that it wants; what runs of it still has to end before it runs again."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.run is not None:
            old = Entry(pace=entry.pace, poll_at=entry.poll_at, run=entry.run, aside=entry.aside)
            old.gone = old.orphan = True
            self._entries[key] = old

    def offer(
        self,
        key: SyncName,
        kind: TriggerKind,
        now: datetime,
        *announced: Announced,
        at: datetime | None = None,
    ) -> None:
        """Want a run of `key`, no sooner than `at` (a spread). An offer to what is not watched is nothing."""
        entry = self._entries.get(key)
        if entry is None or entry.gone:
            return
        known = entry.announcements + (entry.run.announcements if entry.run else ())
        new = {one.event for one in announced} - {one.event for one in known}
        if kind in URGENT or new:
            entry.hold, entry.fresh, entry.failures, entry.lags = None, True, 0, 0
        self._want(entry, frozenset({kind}), announced, max(now, at) if at else now)

    def due(self, now: datetime) -> tuple[Run, ...]:
        """Return what to start now, and count it as running."""
        idle = ((entry.due_at(), key) for key, entry in self._entries.items() if entry.run is None)
        waiting = sorted((due_at, key) for due_at, key in idle if due_at <= now)
        return tuple(self._start(key, now) for _, key in waiting[: self._free()])

    def next_due(self) -> datetime | None:
        """Return when to call `due` again if nothing happens before; null while no run can start."""
        if not self._free():
            return None
        return min((entry.due_at() for entry in self._entries.values() if entry.run is None), default=None)

    def aside(self, key: SyncName) -> None:
        """Let the run of `key` go on without a slot: from here on it waits for a command, however long."""
        entry = self._entries.get(key)
        if entry is not None and entry.run is not None:
            entry.aside = True

    def next_look(self, run: Run, now: datetime) -> datetime:
        """Return when a run that only waits is to end all the same, to look at Git: an interval goes on by itself."""
        entry = self._entries[run.key]
        return now + entry.pace.interval if TriggerKind.INTERVAL in run.kinds else entry.poll_at

    def later(self, key: SyncName) -> frozenset[CommitId]:
        """Return the commits announced for `key` since its run began."""
        entry = self._entries.get(key)
        announcements = entry.announcements if entry else ()
        return frozenset(one.commit for one in announcements if one.commit is not None)

    def done(self, key: SyncName, now: datetime, chance: float) -> None:
        """End the run of `key`: everything it took is answered. What undid a drift did not look at Git."""
        entry, run = self._end(key)
        if entry is None:
            return
        if entry.hold is None:
            entry.failures = entry.lags = 0
        if run is None or run.kinds != DRIFT:
            entry.poll_at = now + jitter(entry.pace.interval, chance)

    def failed(self, key: SyncName, now: datetime, chance: float) -> None:
        """End the run of `key` and put back what it took, for after a pause that grows with each failure."""
        entry, run = self._end(key)
        if entry is None or run is None:
            return
        if not entry.fresh:
            entry.failures += 1
            entry.hold, entry.limited = now + backoff(entry.failures, entry.pace.retry, chance), False
            entry.drift_held = TriggerKind.DRIFT in run.kinds
        self._want(entry, run.kinds, run.announcements, now)

    def waiting(
        self, key: SyncName, now: datetime, chance: float, answered: Collection[MessageId] = frozenset()
    ) -> None:
        """End the run of `key`, as Git does not show what is awaited, and put back what was not `answered`.

        It is tried again after 50 ms, later 5 s, and last when the waiting ends; an announcement that is past its
        deadline is not tried at that pace (R29).
        """
        entry, run = self._end(key)
        if entry is None or run is None:
            return
        if not entry.fresh:
            entry.lags += 1
            entry.hold, entry.limited = _try_again(run, entry, now), False
            entry.drift_held = TriggerKind.DRIFT in run.kinds
        if TriggerKind.INTERVAL in run.kinds:
            entry.poll_at = now + jitter(entry.pace.interval, chance)
        rest = tuple(one for one in run.announcements if one.event not in answered)
        self._want(entry, run.kinds & _AWAITED or run.kinds, rest, now)

    def postponed(self, key: SyncName, now: datetime, until: datetime) -> None:
        """End the run of `key` before it looked at Git: events caused too many. It runs again at `until`.

        What is new, a person and an interval do not wait for that.
        """
        entry, run = self._end(key)
        if entry is None or run is None:
            return
        entry.hold, entry.drift_held, entry.limited = until, False, True
        self._want(entry, run.kinds, run.announcements, now)

    def interrupted(self, key: SyncName, now: datetime, chance: float) -> None:
        """End the run of `key`, which waited for health, as there is something else to do (P10); it goes on at once.

        What it took is put back.
        """
        entry, run = self._end(key)
        if entry is None or run is None:
            return
        if TriggerKind.INTERVAL in run.kinds:
            entry.poll_at = now + jitter(entry.pace.interval, chance)
        self._want(entry, run.kinds, run.announcements, now)

    def _want(
        self, entry: Entry, kinds: frozenset[TriggerKind], announced: Iterable[Announced], ready: datetime
    ) -> None:
        entry.kinds |= kinds
        entry.announcements = gather((*entry.announcements, *announced))
        entry.ready = ready if entry.ready is None else min(entry.ready, ready)

    def _free(self) -> int:
        """Return how many runs more may start."""
        return max(0, self.slots - sum(1 for entry in self._entries.values() if entry.run and not entry.aside))

    def _start(self, key: SyncName, now: datetime) -> Run:
        entry = self._entries[key]
        kinds, announcements = entry.take(now)
        entry.run = Run(key=key, kinds=kinds, announcements=announcements, failures=entry.failures)
        entry.aside = entry.fresh = False
        return entry.run

    def _end(self, key: SyncName) -> tuple[Entry | None, Run | None]:
        """Take the run from its entry; null for what was forgotten meanwhile."""
        entry = self._entries.get(key)
        if entry is None:
            return None, None
        if entry.gone:
            del self._entries[key]
            return None, None
        run, entry.run = None if entry.orphan else entry.run, None
        entry.orphan = False
        return entry, run


def _try_again(run: Run, entry: Entry, now: datetime) -> datetime:
    deadline = run.awaited.deadline if run.awaited else now
    if now >= deadline:
        return now + entry.pace.retry
    return min(now + lag_delay(entry.lags), deadline)
