"""From the RabbitMQ that is there to the one that is wanted: what to add, change and remove, and what is in the way.

What is nobody's business of ours is never touched: only what has our prefix, and users that bear the installation's
tag, count as ours. Gateways' own queues come and go with them and are left alone. An exchange or queue that is there
otherwise than it is wanted cannot be changed, and a user of the right name that somebody else made is not taken over:
both are in the way, and a person has to decide. A virtual host is one installation's: `strangers` says whose it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from gateway.core.things import (
    Binding,
    Exchange,
    Permission,
    Policy,
    Queue,
    Thing,
    TopicPermission,
    User,
    VirtualHost,
)

__all__ = ["Difference", "Identity", "difference", "identity", "strangers"]

_OURS: Final = "bellpull."
_GATEWAYS: Final = "bellpull.gw."

Identity: TypeAlias = tuple[object, ...]
"""What says which thing one is; two of the same are one thing in two states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What leads from one to the other.

    Attributes:
        add: what is not there.
        change: how what is there has to be.
        remove: what is there, ours, and not wanted.
        blocked: what is wanted, and is there in another way, or as somebody else's.
    """

    add: frozenset[Thing] = frozenset()
    change: frozenset[Thing] = frozenset()
    remove: frozenset[Thing] = frozenset()
    blocked: frozenset[Thing] = frozenset()


def identity(thing: Thing) -> Identity:
    """Return what says which thing it is."""
    return (thing.section, *(getattr(thing, name) for name in thing.identity))


def difference(wanted: Iterable[Thing], there: Iterable[Thing], tag: str) -> Difference:
    """Return what leads from what is `there` to what is `wanted`.

    Args:
        wanted: all things, as `topology` makes them.
        there: the virtual host's things, and the broker's users.
        tag: what users of this installation bear.
    """
    want = {identity(thing): thing for thing in wanted}
    have = {identity(thing): thing for thing in there}
    differ = {thing for which, thing in want.items() if which in have and not _fits(thing, have[which])}
    blocked = {thing for thing in differ if _is_blocked(thing, have[identity(thing)])}
    users = {thing.name for thing in have.values() if isinstance(thing, User) and tag in thing.tags}
    limited = {thing.user for thing in want.values() if isinstance(thing, TopicPermission)}
    return Difference(
        add=frozenset(thing for which, thing in want.items() if which not in have),
        change=frozenset(differ - blocked),
        remove=frozenset(
            thing for which, thing in have.items() if which not in want and _is_ours(thing, users, limited)
        ),
        blocked=frozenset(blocked),
    )


def _fits(wanted: Thing, there: Thing) -> bool:
    """Whether what is there does as what is wanted: a user may have further tags and limits."""
    if isinstance(wanted, User) and isinstance(there, User):
        return wanted.tags <= there.tags and wanted.limits <= there.limits
    return wanted == there


def _is_blocked(wanted: Thing, there: Thing) -> bool:
    """Whether what is there in another way cannot be changed, or is somebody else's."""
    if isinstance(wanted, User) and isinstance(there, User):
        return not wanted.tags <= there.tags
    return isinstance(wanted, Exchange | Queue)


def strangers(there: Iterable[Thing], tag: str) -> frozenset[str]:
    """Return the tags of other installations whose users may do something in this virtual host."""
    things = tuple(there)
    users = {thing.user for thing in things if isinstance(thing, Permission)}
    tags = {each for thing in things if isinstance(thing, User) and thing.name in users for each in thing.tags}
    return frozenset(each for each in tags if each.startswith(_OURS) and each != tag)


def _is_ours(thing: Thing, users: set[str], limited: set[str]) -> bool:
    """Whether a thing that is not wanted may go.

    RabbitMQ takes away a user's topic permissions all at once, and lets everything pass where there are none: they
    stay as long as the user is to have any.
    """
    match thing:
        case VirtualHost():
            return False
        case User(name=name):
            return name in users
        case Permission(user=user):
            return user in users
        case TopicPermission(user=user):
            return user in users - limited
        case Exchange(name=name) | Queue(name=name) | Policy(name=name):
            return _has_prefix(name)
        case Binding(source=source, destination=destination):
            return _has_prefix(source) and _has_prefix(destination)
    assert_never(thing)


def _has_prefix(name: str) -> bool:
    return name.startswith(_OURS) and not name.startswith(_GATEWAYS)
