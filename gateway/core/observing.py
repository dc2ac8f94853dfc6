"""Observers: other software that hears what happens to chosen repositories, and can do nothing.

They hear from exchanges of their own, to which gateways publish beside the agents' way: were their queues bound where
agents' are, a message that misses its agent would count as taken because an observer has it, and each confirm would
wait for their queues, too. An observer's queue is bounded, and what finds no room in it is gone.

What an observer is not granted must not reach its queue, as there is nobody behind it who would leave it alone. A
topic exchange compares whole words, and a key has the repository in three: host, owner and name. So only patterns
that say just that can be granted: `HOST/PATH`, all of an owner, all of a host, the same on every host, everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bellpull.contract.routing import (
    EVENTS,
    HEARTBEATS,
    OUTCOMES,
    PUSHES,
    REPORTS,
    binding_key,
    observer_queue,
    owner_and_name,
)
from bellpull.contract.text import Name
from gateway.core.things import (
    FEW_CONNECTIONS,
    Binding,
    Permission,
    Queue,
    Thing,
    TopicPermission,
    User,
    arguments,
    exactly,
)

__all__ = ["Interest", "Kind", "exactly_bound_to", "of_observer"]


class Kind(StrEnum):
    """What can be observed."""

    PUSHES = "pushes"
    """What gateways accepted."""
    OUTCOMES = "outcomes"
    """What became of it, as agents report it, within their records."""


_EXCHANGES: Final = {Kind.PUSHES: PUSHES, Kind.OUTCOMES: OUTCOMES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """What one observer may hear: patterns of repositories, and what about them."""

    repositories: tuple[str, ...]
    kinds: tuple[Kind, ...]


def exactly_bound_to(pattern: str) -> str:
    """Return what a queue is bound to, so that it hears of the repositories that `pattern` admits, and of no other.

    Raises:
        ValueError: no binding says that; which patterns can be had is in the message.
    """
    if pattern == "**":
        return binding_key()
    host, _, path = pattern.partition("/")
    owner, name = owner_and_name(path)
    words = (
        None if host == "*" else host,
        None if path == "**" else owner,
        None if name == "**" else name,
    )
    if any("*" in word for word in words if word is not None):
        raise ValueError(
            f"{pattern} cannot be granted to an observer without more than that, as RabbitMQ compares host, owner "
            "and name as a whole: say HOST/PATH, HOST/OWNER/**, HOST/**, */PATH or **"
        )
    return binding_key(*words)


def of_observer(observer: Name, interest: Interest, tag: str) -> frozenset[Thing]:
    """Return what is one observer's: its queue, with what that is bound to, and a user that may read it.

    Raises:
        ValueError: what it may hear cannot be bound exactly.
    """
    return frozenset(_of_observer(observer, interest, tag))


def _of_observer(observer: Name, interest: Interest, tag: str) -> Iterator[Thing]:
    queue = observer_queue(observer)
    yield Queue(name=queue, arguments=arguments({"x-queue-type": "classic"}))
    for kind in interest.kinds:
        for pattern in interest.repositories:
            yield Binding(source=_EXCHANGES[kind], destination=queue, routing_key=exactly_bound_to(pattern))
    yield User(name=observer, tags=frozenset({tag}), limits=FEW_CONNECTIONS)
    yield Permission(user=observer, read=exactly(queue))
    for exchange in (EVENTS, REPORTS, HEARTBEATS, PUSHES, OUTCOMES):
        yield TopicPermission(user=observer, exchange=exchange)
