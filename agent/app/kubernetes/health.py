"""How the objects of one Sync are: watches show that one changed, and only then it is read and judged.

What many of a kind changed in is read as a list. An object that fails has to do so for a while before it counts: a
Pod that starts before what it needs crashes once or twice, and is well then.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NamedTuple

from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.pages import pages
from agent.app.kubernetes.their_pods import with_pods
from agent.core.health import EXTENDED, Judgement, Rules, Status, aggregate, judge, worst_first
from agent.core.kubernetes.answers import refusal
from agent.core.kubernetes.ask import look
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import GroupKind, Object, ObjectId
from agent.core.kubernetes.options import How
from agent.core.kubernetes.requests import Accept
from agent.core.kubernetes.resources import Resource
from agent.core.outcome import note
from agent.ports.cluster import Cluster, ClusterError, RefusedError
from bellpull.contract.report import FailingObject, Health, HealthStatus
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["FAILS_S", "HealthWatch"]

FAILS_S: Final = 12.0
"""For how long an object has to fail before that counts: a container that crashed first pauses for 10 s."""
_MAX_NAMED: Final = 10
_FEW: Final = 3
"""Up to so many of a kind are read one by one."""
_DEBOUNCE_S: Final = 0.1
_AGAIN_S: Final = (5.0, 60.0)
"""When what is not well is looked at although no watch showed anything: first, and at last."""
_FOUND: Final = 200
_MISSING: Final = 404
_PASSING: Final = (429, *range(500, 600))
"""A server in trouble says nothing of its objects: what is known stays."""
_STATUSES: Final = {
    Status.CURRENT: HealthStatus.HEALTHY,
    Status.FAILED: HealthStatus.FAILING,
    Status.UNKNOWN: HealthStatus.UNKNOWN,
    Status.IN_PROGRESS: HealthStatus.PROGRESSING,
}
_log = logger("agent.kubernetes.health")


class _Place(NamedTuple):
    resource: Resource
    namespace: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found of an object, and since when it fails (None: it does not)."""

    found: Judgement
    fails_since: float | None


class HealthWatch:
    """Judges the objects of one Sync; nothing happens before `run`.

    Args:
        sync: whose.
        rules: by which objects are judged.
        fails_s: for how long one has to fail.
    """

    def __init__(self, sync: str, *, rules: Rules = EXTENDED, fails_s: float = FAILS_S) -> None:
        self._who = f"health of {sync}"
        self._sync = sync
        self._opened: Opened | None = None
        self._rules = rules
        self._fails_s = fails_s
        self._wanted: dict[ObjectId, Desired] = {}
        self._known: dict[ObjectId, _Known] = {}
        self._heard: set[ObjectId] = set()
        self._turned = asyncio.Event()
        self._again_s = _AGAIN_S[0]
        self._problem = ""
        self._health: Health | None = None
        self._changed = asyncio.Event()

    def want(self, opened: Opened, desired: Sequence[Desired]) -> None:
        """Judge these from now on: they were just applied, so what was known of them counts no more."""
        self._opened = opened
        judged = (each for each in desired if each.options.how is not How.IGNORE)
        self._wanted = {each.id: each for each in judged if not self._rules.says_nothing_of(_key(each.id.kind))}
        self._known, self._heard, self._health = {}, set(self._wanted), None
        opened.watching.want(self._who, {each.id: each.resource for each in self._wanted.values()}, self._hear)
        self._again_s = _AGAIN_S[0]
        self._turned.set()

    async def follow(self) -> AsyncGenerator[Health]:
        """Yield how they are, once all were looked at, and whenever that changes."""
        shown: Health | None = None
        while True:
            changed = self._changed
            if self._health is not None and self._health != shown:
                shown = self._health
                yield shown
            else:
                await changed.wait()

    async def run(self) -> None:
        """Look at what changed, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._turned.wait()
            if self._turned.is_set():
                await asyncio.sleep(_DEBOUNCE_S)
                self._again_s = _AGAIN_S[0]
            else:
                self._again_s = min(self._again_s * 2, _AGAIN_S[1])
            self._turned.clear()
            self._heard |= {which for which in self._wanted if not self._is_well(which)}
            if self._opened is not None:
                await self._look(self._opened.cluster)

    async def _look(self, cluster: Cluster) -> None:
        wanted, todo = self._wanted, sorted(self._heard)
        self._heard = set()
        try:
            for place, ids in _grouped(wanted[which] for which in todo if which in wanted):
                found = await self._read(cluster, place, ids)
                if self._wanted is not wanted:
                    return  # others are wanted by now
                for which in ids:
                    self._take(which, found[which])
        except ClusterError as error:
            self._heard.update(todo)
            self._said(str(error))
        if self._known.keys() >= self._wanted.keys():
            self._show()

    async def _read(self, cluster: Cluster, place: _Place, ids: Sequence[ObjectId]) -> dict[ObjectId, Judgement]:
        """Judge objects of one kind, in one namespace."""
        now = utc_now()
        try:
            if len(ids) <= _FEW:
                read = {which: await _get(cluster, place.resource, which) for which in ids}
            else:
                read = await _list(cluster, place)
        except RefusedError as error:
            said = _message(error)
            if error.answer.status in _PASSING:
                raise ClusterError(said) from None
            return dict.fromkeys(ids, Judgement(Status.UNKNOWN, "Refused", said))
        found = {which: judge(read.get(which), now, rules=self._rules) for which in ids}
        return {which: await self._explained(cluster, which, read.get(which), found[which]) for which in ids}

    async def _explained(self, cluster: Cluster, which: ObjectId, item: Object | None, found: Judgement) -> Judgement:
        """Let its Pods say why it does not get on, where they may be read."""
        if item is None:
            return found
        try:
            kind = _key(which.kind)
            return await with_pods(cluster, kind, item, found, now=utc_now(), rules=self._rules)
        except RefusedError as error:
            self._said(f"why {which} does not get on: {_message(error)}")
            return found

    def _take(self, which: ObjectId, found: Judgement) -> None:
        before = self._known.get(which)
        since = (before.fails_since if before is not None else None) or monotonic()
        self._known[which] = _Known(found, since if found.status is Status.FAILED else None)

    def _counted(self, known: _Known) -> Status:
        """Return what an object counts as."""
        if known.fails_since is not None and monotonic() < known.fails_since + self._fails_s:
            return Status.IN_PROGRESS
        return known.found.status

    def _is_well(self, which: ObjectId) -> bool:
        known = self._known.get(which)
        return known is not None and known.found.status is Status.CURRENT

    def _pause_s(self) -> float | None:
        """Return how long to wait if nothing is heard; None where all is well."""
        if not self._heard and all(self._is_well(which) for which in self._wanted):
            return None
        fails = (each.fails_since for each in self._known.values())
        left = (since + self._fails_s - monotonic() for since in fails if since is not None)
        return min([self._again_s, *(each for each in left if each > 0)])

    def _show(self) -> None:
        status = _STATUSES[aggregate(self._counted(known) for known in self._known.values())]
        unwell = [(known.found, which) for which, known in self._known.items() if not self._is_well(which)]
        unwell.sort(key=lambda each: (worst_first(each[0]), each[1]))
        failing = tuple(
            FailingObject(object=note(str(which)), reason=note(_reason(found)))
            for found, which in unwell[:_MAX_NAMED]
        )
        before = self._health
        since = before.since if before is not None and before.status is status else utc_now()
        health = Health(status=status, since=since, failing=failing)
        if health != before:
            self._health = health
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    def _said(self, problem: str) -> None:
        """Log what is in the way, once as long as it is the same."""
        if problem != self._problem:
            _log.warning("objects cannot be looked at", sync=self._sync, error=problem)
        self._problem = problem

    def _hear(self, which: ObjectId) -> None:
        self._heard.add(which)
        self._turned.set()


async def _get(cluster: Cluster, resource: Resource, which: ObjectId) -> Object | None:
    answer = await cluster.send(look(resource.path(which.namespace, which.name), whole=True))
    if answer.status == _MISSING:
        return None
    if answer.status != _FOUND:
        raise RefusedError(answer)
    return answer.body


async def _list(cluster: Cluster, place: _Place) -> dict[ObjectId, Object | None]:
    resource, found = place.resource, dict[ObjectId, Object | None]()
    kind = {"apiVersion": resource.api_version, "kind": resource.kind.kind}
    async for each in pages(cluster, resource, place.namespace, members=True, accept=Accept.OBJECT):
        for item in each.items:
            metadata = item["metadata"]
            found[ObjectId(resource.kind, metadata.get("namespace") or "", metadata["name"])] = kind | item
    return found


def _message(error: RefusedError) -> str:
    said = refusal(error.answer)
    return said.message if said is not None else str(error)


def _key(kind: GroupKind) -> str:
    return f"{kind.group}/{kind.kind}" if kind.group else kind.kind


def _reason(found: Judgement) -> str:
    return ": ".join(part for part in (found.reason or str(found.status), found.message) if part)


def _grouped(wanted: Iterable[Desired]) -> list[tuple[_Place, list[ObjectId]]]:
    """Put together what is of one kind in one namespace."""
    groups: dict[Any, tuple[_Place, list[ObjectId]]] = {}
    for each in wanted:
        place = _Place(each.resource, each.id.namespace)
        groups.setdefault((each.id.kind, each.id.namespace), (place, []))[1].append(each.id)
    return list(groups.values())
