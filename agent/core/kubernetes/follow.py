"""The requests of a reflector, and how it goes on after each end (client-go's, with streamed lists first).

A list comes in the stream of its watch where the API server can (KEP-3157, on by default from Kubernetes 1.34);
where it cannot, in pages before it. Only members of a set are asked for, by their label, and only their metadata.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.requests import Accept, Method, Request
from agent.core.kubernetes.resources import Resource

__all__ = ["PAGE", "SILENCE_S", "can_stream", "page", "streamed_list", "watch"]

PAGE: Final = 500
SILENCE_S: Final = 100.0
"""How long a watch may show nothing: an API server shows a bookmark every minute."""
_STREAMS_FROM: Final = (1, 32)
"""Before, the question for a streamed list is overlooked, and its end never said."""
_LONGEST_S: Final = 600
_SHORTEST_S: Final = 300


def can_stream(version: Mapping[str, object]) -> bool:
    """Whether an API server of this `/version` says so where it cannot stream a list."""
    major, minor = str(version.get("major", "")), str(version.get("minor", "")).rstrip("+")
    return major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= _STREAMS_FROM


def page(
    resource: Resource,
    namespace: str,
    token: str,
    *,
    members: bool,
    whole: bool = False,
    accept: Accept = Accept.METADATA_LIST,
) -> Request:
    """Return the request for a page of a list.

    Args:
        resource: the kind.
        namespace: in which; all if it is empty.
        token: from the page before; empty for the first.
        members: whether only members of sets are wanted.
        whole: whether all is wanted at once.
        accept: metadata alone, or objects.
    """
    query = _selected(members=members) | ({} if whole else {"limit": str(PAGE)})
    if token:
        query["continue"] = token
    return Request(method=Method.GET, path=resource.path(namespace), query=query, accept=accept)


def watch(resource: Resource, namespace: str, revision: str, *, members: bool, chance: float) -> Request:
    """Return the request for what happens after `revision`; `chance` spreads the ends of watches."""
    return _watch(resource, namespace, {"resourceVersion": revision}, members=members, chance=chance)


def streamed_list(resource: Resource, namespace: str, *, members: bool, chance: float) -> Request:
    """Return the request for all there is, and what happens after."""
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    return _watch(resource, namespace, query, members=members, chance=chance)


def _watch(resource: Resource, namespace: str, query: Mapping[str, str], *, members: bool, chance: float) -> Request:
    ends = timedelta(seconds=_SHORTEST_S + (_LONGEST_S - _SHORTEST_S) * chance)
    common = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(int(ends.total_seconds()))}
    return Request(
        method=Method.GET,
        path=resource.path(namespace),
        query={**_selected(members=members), **common, **query},
        accept=Accept.METADATA,
    )


def _selected(*, members: bool) -> dict[str, str]:
    return {"labelSelector": PART_OF} if members else {}
