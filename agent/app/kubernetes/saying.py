"""What is said of the objects of a Sync: in the log, in the message of a word, and in its counts."""

from collections.abc import Iterable, Sequence

from agent.app.kubernetes.blame import blame
from agent.app.kubernetes.desired import MAX_NAMED
from agent.app.kubernetes.reconcile import Result
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.policy import Action, Done, Policy, Undone
from agent.ports.cluster import Cluster
from agent.ports.target import TargetError
from bellpull.contract.report import Counts
from bellpull.runtime.logs import logger

__all__ = ["Saying", "counts_of", "refuse_undone"]

_log = logger("agent.kubernetes")


class Saying:
    """Says what becomes of the objects of one Sync."""

    def __init__(self, sync: str) -> None:
        self._sync = sync
        self._blamed: dict[ObjectId, str] = {}
        self._left: set[ObjectId] = set()
        self._unwatched: frozenset[str] = frozenset()

    def made(self, made: Done | Undone) -> None:
        """Log what a person may want to know of an object that was applied."""
        if isinstance(made, Undone):
            _log.warning("an object is not what it is to be", sync=self._sync, object=str(made.id), why=made.problem)
        elif made.notes or made.action in (Action.DELETED, Action.RECREATED):
            _log.info("object", sync=self._sync, object=str(made.id), action=str(made.action), notes=list(made.notes))

    def found(self, result: Result) -> None:
        """Log what was made before and no inventory had."""
        if result.found is not None and result.found.members:
            _log.warning(
                "the inventory was lost, and is made anew from what the cluster has",
                sync=self._sync,
                objects=len(result.found.members),
                not_listed=list(result.found.unlisted),
            )

    async def drifted(self, found: Sequence[Desired], cluster: Cluster, policy: Policy) -> str | None:
        """Return what drifted, in a sentence, with who did what to it; None where nothing did."""
        self._blamed = {each.id: await blame(cluster, each, policy) for each in found[:MAX_NAMED]}
        shown = (f"{which} ({why})" if why else str(which) for which, why in self._blamed.items())
        return _sentence([*shown, *(str(each.id) for each in found[MAX_NAMED:])])

    async def left(self, found: Sequence[Desired], cluster: Cluster, policy: Policy) -> None:
        """Log once what drifted and is left so, with who did what to it."""
        before, self._left = self._left, {each.id for each in found}
        for each in found:
            if each.id not in before:
                by = await blame(cluster, each, policy)
                what = "an object was changed, and is left so until the next commit"
                _log.warning(what, sync=self._sync, object=str(each.id), by=by or "unknown")

    def fought(self, which: ObjectId, hold_s: float) -> None:
        """Log that an object is changed back as often as it is corrected."""
        _log.warning(
            "an object is changed back again and again: take the fields out of Git, or name them in `ignore`",
            sync=self._sync,
            object=str(which),
            by=self._blamed.get(which) or "unknown",
            left_so_s=hold_s,
        )

    def unwatched(self, why: Iterable[str]) -> None:
        """Log, once, what may not be watched."""
        before, self._unwatched = self._unwatched, frozenset(why)
        for each in sorted(self._unwatched - before):
            what = "objects cannot be watched: drift of them is found every half an hour"
            _log.warning(what, sync=self._sync, why=each)


def _sentence(differ: Iterable[str]) -> str | None:
    """Return what differs; None where nothing does."""
    found = [*differ]
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return f"{', '.join(found[:MAX_NAMED])}{more}" if found else None


def refuse_undone(result: Result) -> None:
    """Go on where all is as it is to be.

    Raises:
        TargetError: some is not.
    """
    if not result.undone:
        return
    shown = "; ".join(str(each) for each in result.undone[:MAX_NAMED])
    count = f"{len(result.undone)} of {len(result.done) + len(result.undone)} objects are not as they are to be"
    raise TargetError("", f"{count}: {shown}", permanent=False)


def counts_of(result: Result) -> Counts:
    """Return how many objects a run created, changed, left alone and deleted."""
    found = [each.action for each in result.done]
    return Counts(
        created=found.count(Action.CREATED),
        changed=found.count(Action.CONFIGURED) + found.count(Action.RECREATED),
        unchanged=found.count(Action.UNCHANGED) + found.count(Action.SKIPPED),
        deleted=found.count(Action.DELETED),
    )
