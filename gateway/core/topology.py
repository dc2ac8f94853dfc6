"""What there has to be in RabbitMQ for an installation: a value, made from its name and its agents' rights.

It is a set of things, each as RabbitMQ's own definitions have it: a virtual host, exchanges, a queue for each agent,
bindings, policies, users and what they may do. `difference` compares two such sets, `definitions` writes them.

A queue's arguments can never be changed, so they are the two that never have to be; all else is a policy (R21).
Agents may read their own queue and publish under their own key, the gateways may publish events and hear what comes
back, and nobody who runs may make, bind, empty or remove what is here. Topic permissions let everything pass where
there are none, so agents have one for each exchange, also for that to which they have no way.

Bindings hear at least what an agent's patterns admit: a part of a word cannot be compared, so that `HOST/a*/NAME` is
bound as that name of all owners, and a pattern with a star in its host as all hosts that have the rest. What an agent
hears beyond its own it leaves alone. Observers (`gateway.core.observing`) are bound to exchanges of their own.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from bellpull.contract.routing import (
    DEAD_LETTERS,
    EVENTS,
    HEARTBEATS,
    OUTCOMES,
    PUSHES,
    REPORTS,
    agent_key,
    agent_queue,
    binding_key,
    owner_and_name,
    report_key,
)
from bellpull.contract.text import Name
from gateway.core.observing import Interest, of_observer
from gateway.core.things import (
    FEW_CONNECTIONS,
    Binding,
    Exchange,
    Permission,
    Policy,
    Queue,
    Thing,
    TopicPermission,
    User,
    VirtualHost,
    arguments,
    exactly,
)

__all__ = ["bound_to", "of_agent", "owner_tag", "shared", "topology"]

_WEEK_MS: Final = 7 * 24 * 3600 * 1000
_BOUNDS: Final[Mapping[str, str | int]] = {
    "max-length": 10_000,
    "max-length-bytes": 64 * 1024 * 1024,
    "overflow": "drop-head",
}


def topology(
    *,
    installation: Name,
    vhost: str,
    gateway: str,
    agents: Mapping[Name, Iterable[str]],
    observers: Mapping[Name, Interest] = MappingProxyType({}),
) -> frozenset[Thing]:
    """Return all that has to be there.

    Args:
        installation: whose it is.
        vhost: the virtual host, which is the installation's own.
        gateway: the user as which its gateways log in.
        agents: the patterns of each agent's record; agents log in by their names.
        observers: what each observer may hear; they log in by their names, too.

    Raises:
        ValueError: a name is that of two, or what an observer may hear cannot be bound exactly.
    """
    if gateway in {*agents, *observers}:
        kind = "agent" if gateway in agents else "observer"
        raise ValueError(f"{gateway} is an {kind}: the gateways need a user of another name")
    if twice := sorted({*agents} & {*observers}):
        raise ValueError(f"{twice[0]} is an agent and an observer: each needs a user of its own")
    tag = owner_tag(installation)
    things = {*shared(vhost), *_gateway(gateway, tag)}
    for agent, patterns in agents.items():
        things.update(of_agent(agent, patterns, tag))
    for observer, interest in observers.items():
        things.update(of_observer(observer, interest, tag))
    return frozenset(things)


def shared(vhost: str) -> frozenset[Thing]:
    """Return what belongs to nobody alone, and everybody's things need."""
    return frozenset({VirtualHost(name=vhost), *_exchanges(), *_dead_letters(), *_policies()})


def of_agent(agent: Name, patterns: Iterable[str], tag: str) -> frozenset[Thing]:
    """Return what is one agent's: its queue, with what that is bound to, and its user."""
    return frozenset(_agent(agent, patterns, tag))


def owner_tag(installation: Name) -> str:
    """Return the tag that says of a user whose it is: users are the broker's, not a virtual host's."""
    return f"bellpull.{installation}"


def bound_to(pattern: str) -> str:
    """Return what a queue is bound to, so that it hears at least the events of repositories that `pattern` admits."""
    host, slash, path = pattern.partition("/")
    if not slash or "**" in host:
        return binding_key()
    owner, name = ("*", "*") if "**" in path.partition("/")[0] else owner_and_name(path)
    return binding_key(*(None if "*" in word else word for word in (host, owner, name)))


def _exchanges() -> Iterator[Thing]:
    for name in (EVENTS, REPORTS, HEARTBEATS, PUSHES, OUTCOMES):
        yield Exchange(name=name, type="topic")
    yield Exchange(name=DEAD_LETTERS, type="headers")


def _dead_letters() -> Iterator[Thing]:
    """Rejects and what was delivered in vain arrive; what found no room, or grew old, fits no binding (R20).

    The queue is a classic one: one that counts deliveries would at last drop what is only looked at.
    """
    yield Queue(name=DEAD_LETTERS, arguments=arguments({"x-queue-type": "classic"}))
    for reason in ("rejected", "delivery_limit"):
        table = arguments({"x-match": "all-with-x", "x-first-death-reason": reason})
        yield Binding(source=DEAD_LETTERS, destination=DEAD_LETTERS, arguments=table)


def _policies() -> Iterator[Thing]:
    """Bounds for every queue; only agents' queues have somewhere for what they reject."""
    kept = {**_BOUNDS, "message-ttl": _WEEK_MS}
    rejects = {**kept, "delivery-limit": 20, "dead-letter-exchange": DEAD_LETTERS}
    yield Policy(name="bellpull.agents", pattern=r"^bellpull\.agent\.", definition=arguments(rejects))
    yield Policy(name="bellpull.observers", pattern=r"^bellpull\.observer\.", definition=arguments(kept))
    yield Policy(name=DEAD_LETTERS, pattern=exactly(DEAD_LETTERS), definition=arguments(kept))
    yield Policy(name="bellpull.gateways", pattern=r"^bellpull\.gw\.", definition=arguments(_BOUNDS))


def _gateway(user: str, tag: str) -> Iterator[Thing]:
    """Gateways publish events, and hear everything into queues of their own (R22)."""
    own = r"^bellpull\.gw\..*$"
    yield User(name=user, tags=frozenset({tag}))
    yield Permission(
        user=user,
        configure=own,
        write=rf"^bellpull\.(events|notify\.pushes|notify\.outcomes)$|{own}",
        read=rf"^bellpull\.(events|reports|heartbeats)$|{own}",
    )


def _agent(agent: Name, patterns: Iterable[str], tag: str) -> Iterator[Thing]:
    queue = agent_queue(agent)
    yield Queue(name=queue, arguments=arguments({"x-queue-type": "quorum", "x-single-active-consumer": True}))
    for key in (agent_key(agent), *map(bound_to, patterns)):
        yield Binding(source=EVENTS, destination=queue, routing_key=key)
    yield User(name=agent, tags=frozenset({tag}), limits=FEW_CONNECTIONS)
    yield Permission(user=agent, write=r"^bellpull\.(reports|heartbeats)$", read=exactly(queue))
    own = exactly(report_key(agent))
    yield TopicPermission(user=agent, exchange=REPORTS, write=own)
    yield TopicPermission(user=agent, exchange=HEARTBEATS, write=own)
    for exchange in (EVENTS, PUSHES, OUTCOMES):
        yield TopicPermission(user=agent, exchange=exchange)
