"""What watches tell of the objects of one Sync: which need no request, and which are no longer what they are to be.

Events are only noted, and judged when no run of the Sync is under way: then what we wrote ourselves is known, though
its event may have come before its answer (M2).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from agent.app.kubernetes.watching import Watching
from agent.core.kubernetes.insync import Verdict, Wanted, judge
from agent.core.kubernetes.inventory import Record
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.options import How
from agent.core.kubernetes.pacing import Confirmations, Fights
from agent.core.kubernetes.policy import Done, OnDrift, Undone
from agent.core.kubernetes.seen import Marked, Seen, is_later
from agent.ports.inventory import Held

__all__ = ["Drift"]

_SETTLE_S: Final = 10.0
_AGAIN_S: Final = 1.0
_LEFT: Final = (How.IGNORE, How.IF_NOT_PRESENT)


@dataclass(slots=True, kw_only=True)
class _Known:
    """One object of the Sync.

    Attributes:
        desired: the object.
        wanted: what it is to be.
        record: of its last PATCH, as far as that is known.
        turn: of the collection at that PATCH; None where it was before the start.
        asked: why a request for it is under way.
        is_left: whether it is left as it is, as long as it is there.
    """

    desired: Desired
    wanted: Wanted
    record: Record | None
    turn: int | None = None
    asked: Verdict = Verdict.IN_SYNC
    is_left: bool = False


class Drift:
    """Knows the objects of one Sync by the watches of its cluster.

    Attributes:
        turned: set while something was heard that is not judged yet.
        is_again: whether what is applied was applied before: then what cannot be watched is taken to be as it was.

    Args:
        sync: whose.
        manager: its field manager.
        watching: of the cluster.
        on: what is done about it.
        fought: is called with an object that is changed back again and again, and for how long it is left so.
    """

    def __init__(
        self,
        sync: str,
        manager: str,
        watching: Watching,
        *,
        on: OnDrift = OnDrift.CORRECT,
        fought: Callable[[ObjectId, float], None],
    ) -> None:
        self.turned = asyncio.Event()
        self.is_again = False
        self._sync = sync
        self._manager = manager
        self._watching = watching
        self._on = on
        self._fought = fought
        self._known: dict[ObjectId, _Known] = {}
        self._heard: set[ObjectId] = set()
        self._later: dict[ObjectId, float] = {}
        self._forced: set[ObjectId] = set()
        self._confirmations = Confirmations()
        self._fights = Fights()

    async def ready(self, desired: Sequence[Desired], held: Held) -> None:
        """Watch these, and wait for what is there, where any of it may be as it is to be.

        What was never applied is watched once it was: until then every event would be of our own doing.
        """
        ids = {each.id for each in desired}
        for which in self._known.keys() - ids:
            self._forget(which)
        if any(member.record is not None for which, member in held.members.items() if which in ids):
            self.watch(desired)
            await self._watching.settle(self._sync, _SETTLE_S)

    def watch(self, desired: Iterable[Desired]) -> None:
        """Watch these, and nothing else."""
        if self._on is OnDrift.OFF:
            return
        self._watching.want(self._sync, {each.id: each.resource for each in desired}, self._hear)

    def needs(self, desired: Desired, text: str, record: Record | None) -> bool:
        """Whether an object needs a request now, or is left for whoever applies to say so.

        Args:
            desired: the object.
            text: the keyed hash of what is applied.
            record: of its last PATCH.
        """
        which, how = desired.id, desired.options.how
        wanted = Wanted(
            desired=text,
            manager=self._manager,
            marked=Marked.by(desired.item),
            takes_over=how is How.OVERRIDE,
        )
        known = _Known(desired=desired, wanted=wanted, record=record, is_left=how in _LEFT)
        before = self._known.get(which)
        if before is not None and record is not None and before.record == record:
            known.turn = before.turn
        self._known[which] = known
        self._heard.discard(which)
        self._later.pop(which, None)
        if known.is_left:
            return True
        if self.is_again and self._on is not OnDrift.CORRECT and record is not None and record.desired == text:
            return False
        known.asked = self._judge(known)
        if known.asked is Verdict.IN_SYNC:
            return False
        now = monotonic()
        due = self._due(known, known.asked, now)
        if due > now:
            self._later[which] = due
        return due <= now

    def told(self, made: Done | Undone) -> None:
        """Note what became of an object that needed a request."""
        known = self._known.get(made.id)
        if known is None:
            return
        before, known.record = known.record, made.record if isinstance(made, Done) else None
        known.is_left = isinstance(made, Done) and made.record is None
        view = self._watching.view(made.id, known.desired.resource)
        known.turn = view.turn if view is not None else 0
        self._forced.discard(made.id)
        if known.record is None or before is None or before.desired != known.wanted.desired:
            self._fights.forget(made.id)
            return
        wrote = (before.uid, before.revision) != (known.record.uid, known.record.revision)
        if known.asked is Verdict.CONFIRM:
            self._confirmations.done(made.id, monotonic(), wrote=wrote)
        elif wrote and (hold_s := self._fights.corrected(made.id, monotonic())):
            self._fought(made.id, hold_s)

    def force(self, which: Iterable[ObjectId]) -> None:
        """Have these written, whatever watches say: a dry run found that they differ."""
        self._forced.update(which)

    def look(self) -> list[Desired]:
        """Judge what was heard, and return what is not as it is to be; only while no run is under way.

        It is returned again until a run has gone through it.
        """
        self.turned.clear()
        now = monotonic()
        ready = self._heard | {which for which, due in self._later.items() if due <= now}
        self._heard = set()
        found: list[Desired] = []
        for which in sorted(ready):
            self._later.pop(which, None)
            known = self._known.get(which)
            if known is None:
                continue
            view = self._watching.view(which, known.desired.resource)
            if view is None:
                if self._watching.is_coming(which, known.desired.resource):
                    self._later[which] = now + _AGAIN_S
                continue
            verdict = self._judge(known) if not known.is_left else _missing(view.get(which))
            if verdict is Verdict.IN_SYNC:
                continue
            due = self._due(known, verdict, now)
            if due > now:
                self._later[which] = due
            else:
                found.append(known.desired)
        self._heard.update(each.id for each in found)
        return found

    def next_s(self) -> float | None:
        """Return in how many seconds something is to be judged again that had to wait."""
        return max(0.0, min(self._later.values()) - monotonic()) if self._later else None

    def unwatched(self) -> list[str]:
        """Return what may not be watched, and which right is missing."""
        return self._watching.problems(self._sync)

    def close(self) -> None:
        """Watch nothing any more."""
        self._watching.leave(self._sync)

    def _hear(self, which: ObjectId) -> None:
        self._heard.add(which)
        self.turned.set()

    def _judge(self, known: _Known) -> Verdict:
        which, record = known.desired.id, known.record
        if which in self._forced or record is None:
            return Verdict.APPLY
        view = self._watching.view(which, known.desired.resource)
        if view is None:
            did_not = self.is_again and record.desired == known.wanted.desired
            return Verdict.IN_SYNC if did_not else Verdict.APPLY
        is_old = known.turn is None and is_later(record.revision, view.horizon)
        if is_old or (known.turn or 0) != view.turn:
            return Verdict.APPLY  # what is remembered is of other data than there is now
        return judge(known.wanted, record, view.get(which), horizon=view.horizon)

    def _due(self, known: _Known, verdict: Verdict, now: float) -> float:
        which, record = known.desired.id, known.record
        if which in self._forced or record is None or record.desired != known.wanted.desired:
            return now
        if verdict is Verdict.CONFIRM:
            return self._confirmations.due(which, now)
        return self._fights.due(which, now)

    def _forget(self, which: ObjectId) -> None:
        del self._known[which]
        self._heard.discard(which)
        self._later.pop(which, None)
        self._forced.discard(which)
        self._confirmations.forget(which)
        self._fights.forget(which)


def _missing(seen: Seen | None) -> Verdict:
    return Verdict.APPLY if seen is None else Verdict.IN_SYNC
