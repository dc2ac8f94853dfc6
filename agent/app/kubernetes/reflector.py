"""Keeps a collection as the cluster has it: list, watch, and on, through every end that a watch has."""

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from time import monotonic
from typing import Final

from agent.app.kubernetes.pages import pages
from agent.core.backoff import backoff
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.collection import Collection, ExpiredError, WatchError
from agent.core.kubernetes.follow import SILENCE_S, can_stream, streamed_list, watch
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.requests import Answer, Method, Request
from agent.core.kubernetes.resources import Resource
from agent.ports.cluster import Cluster, ClusterError, RefusedError, WatchedCluster
from bellpull.runtime.logs import logger

__all__ = ["Reflector", "Streams"]

_log = logger("agent.kubernetes")
_MOST: Final = timedelta(seconds=30)
_REFUSED_S: Final = 300.0
"""A right that was missing may be given: ask again after this, by up to a fifth sooner or later."""
_SHORT_S: Final = 5.0
"""A watch that ends sooner is taken for a failure, so that a server that ends them all is not asked without end."""
_GAP_S: Final = 5.0
"""Between two watches of a kind what is known of it counts for so long."""
_EXPIRED: Final = 410
_HOPELESS: Final = frozenset({RefusalKind.FORBIDDEN, RefusalKind.DENIED, RefusalKind.NO_KIND, RefusalKind.BAD})


class Streams:
    """Whether a cluster's API servers list in a stream; found out once, for all that is watched there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._can: bool | None = None
        self._asking = asyncio.Lock()

    async def can(self) -> bool:
        """Return whether to try.

        Raises:
            ClusterError: nobody answers.
        """
        async with self._asking:
            if self._can is None:
                answer = await self._cluster.send(Request(method=Method.GET, path="/version"))
                self._can = refusal(answer) is None and can_stream(answer.body)
            return self._can

    def cannot(self, why: str) -> None:
        """Note that one did not."""
        if self._can:
            _log.info("lists are not streamed by this cluster", why=why)
        self._can = False


class Reflector:
    """Follows the objects of one kind, in one namespace or in all.

    Attributes:
        collection: what is there.
        problem: why it is not followed; None while it is, or is about to be.
        is_refused: whether the user lacks the right.
        settled: set once something is known: what is there, or why that cannot be known.

    Args:
        cluster: whom to ask.
        resource: the kind.
        namespace: all if it is empty.
        streams: of the cluster.
        heard: is called with objects that are no longer what they were.
        listed: is called after each list: what is not there now may never have been seen.
        turned: is called when it is refused, or is followed again.
        members: whether only members of sets are followed.
    """

    def __init__(
        self,
        cluster: WatchedCluster,
        resource: Resource,
        namespace: str,
        *,
        streams: Streams,
        heard: Callable[[set[ObjectId]], None],
        listed: Callable[[], None] = lambda: None,
        turned: Callable[[], None] = lambda: None,
        members: bool = True,
    ) -> None:
        self.collection = Collection(resource.kind)
        self.problem: str | None = None
        self.is_refused = False
        self.settled = asyncio.Event()
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._streams = streams
        self._heard = heard
        self._listed = listed
        self._turned = turned
        self._members = members
        self._following = False
        self._is_new = True
        self._ended = float("-inf")

    @property
    def is_current(self) -> bool:
        """Whether the collection is what the cluster has, but for what is on its way."""
        return self.collection.listed and (self._following or monotonic() - self._ended < _GAP_S)

    async def run(self) -> None:
        """Follow, until cancelled."""
        failures = 0
        while True:
            begun = monotonic()
            try:
                await self._follow()
                problem = "the server ends every watch at once"
            except RefusedError as error:
                problem = self._refused(error.answer)
            except WatchError as error:
                problem, self.collection.horizon = str(error), ""
            except ClusterError as error:
                problem = str(error)
            finally:
                self._following, self._ended = False, monotonic()
            lived = monotonic() - begun >= _SHORT_S
            failures = 0 if lived else failures + 1
            await asyncio.sleep(self._pause_s(problem, failures))

    async def _follow(self) -> None:
        """Watch, after a list where that is needed, until the watch ends."""
        if self.collection.horizon:
            request = watch(
                self._resource,
                self._namespace,
                self.collection.horizon,
                members=self._members,
                chance=random.random(),
            )
            return await self._watch(request)
        self._is_new = True
        if not await self._streams.can():
            await self._list()
            return await self._follow()
        self.collection.begin()
        try:
            await self._watch(
                streamed_list(self._resource, self._namespace, members=self._members, chance=random.random())
            )
        except (RefusedError, WatchError) as error:
            if isinstance(error, ExpiredError) or not _is_for_lists(error):
                raise
            self._streams.cannot(str(error))
            await self._follow()

    async def _watch(self, request: Request) -> None:
        async with aclosing(self._cluster.watch(request, silence_s=SILENCE_S)) as events:
            async for event in events:
                changed = self.collection.event(event) if event is not None else ()
                if not self._following and self.collection.horizon:
                    self._follows()
                if changed:
                    self._heard(changed)

    async def _list(self) -> None:
        async for page in pages(self._cluster, self._resource, self._namespace, members=self._members):
            if page.is_first:
                self.collection.begin()
            changed = self.collection.put(page.items)
            if page.revision is not None:
                changed |= self.collection.end(page.revision)
            if changed:
                self._heard(changed)

    def _follows(self) -> None:
        self._following, self.problem = True, None
        self.settled.set()
        if self._is_new:
            self._is_new = False
            self._listed()
        if self.is_refused:
            self.is_refused = False
            self._turned()

    def _refused(self, answer: Answer) -> str:
        refused = refusal(answer)
        if refused is None or answer.status == _EXPIRED:
            self.collection.horizon = ""
            return "what was known is too old"
        if refused.kind in _HOPELESS:
            self.problem = refused.advice()
            self.collection.horizon, self.collection.listed = "", False
            self.settled.set()
            if not self.is_refused:
                self.is_refused = True
                self._turned()
        return refused.message

    def _pause_s(self, problem: str, failures: int) -> float:
        if self.is_refused:
            return _REFUSED_S * (0.8 + 0.4 * random.random())
        if not failures:
            return 0.0
        pause_s = backoff(failures, _MOST, random.random()).total_seconds()
        what = f"{self._resource.plural}{f' in {self._namespace}' if self._namespace else ''}"
        if failures > 1:
            _log.warning("a watch ended", of=what, error=problem, again_s=round(pause_s, 1))
        return pause_s


def _is_for_lists(error: RefusedError | WatchError) -> bool:
    """Whether a streamed list was refused as such: its feature is off, or the etcd is older than 3.5.8."""
    if isinstance(error, RefusedError):
        return error.answer.status in (400, 422)
    return error.code >= 500
