"""Installations for tests of what they need in RabbitMQ: made up, and in a real one."""

import string
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from aio_pika import Connection
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from hypothesis import strategies as st

from bellpull.contract.patterns import is_pattern
from bellpull.contract.text import Name
from bellpull.runtime.secret import Secret
from gateway.adapters.management import Management
from gateway.core.definitions import password_hash, to_definitions
from gateway.core.observing import Interest
from gateway.core.things import Policy, Thing, User, arguments
from gateway.core.topology import topology
from tests.parts.rabbitmq import PASSWORD, USER, Broker

__all__ = ["GATEWAY", "Installed", "agents", "hears", "installed", "made", "patterns"]

GATEWAY = "bellpull_gateway"
_LETTERS = string.ascii_letters + string.digits
_PART = st.text(_LETTERS + ".-_é!%+~*", min_size=1, max_size=6) | st.sampled_from(["*", "**", "acme", "a*", "*a"])
_HOST = st.sampled_from(["github.com", "git.example", "*", "**", "*.com", "g**", "GitHub.com"]) | _PART

patterns: st.SearchStrategy[str] = st.one_of(
    st.builds(lambda host, parts: "/".join([host, *parts]), _HOST, st.lists(_PART, min_size=1, max_size=3)),
    st.just("**"),
).filter(is_pattern)
_names = st.from_regex(r"[a-c][a-c.-]{0,3}[a-c]", fullmatch=True).map(Name)
agents: st.SearchStrategy[dict[Name, list[str]]] = st.dictionaries(
    _names, st.lists(patterns, min_size=1, max_size=3), max_size=3
)


def made(
    rights: dict[Name, list[str]],
    gateway: str = GATEWAY,
    vhost: str = "v",
    observers: Mapping[Name, Interest] = MappingProxyType({}),
) -> frozenset[Thing]:
    """Return what an installation `bellpull` needs."""
    return topology(installation=Name("bellpull"), vhost=vhost, gateway=gateway, agents=rights, observers=observers)


def hears(binding: str, key: str) -> bool:
    """Whether a topic exchange gives what is published under `key` to a queue that is bound by `binding`."""
    return _fits(tuple(binding.split(".")), tuple(key.split(".")))


def _fits(binding: tuple[str, ...], key: tuple[str, ...]) -> bool:
    if not binding:
        return not key
    first, *rest = binding
    if first == "#":
        return any(_fits(tuple(rest), key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and first in {"*", key[0]} and _fits(tuple(rest), key[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installation's virtual host in a real broker; every user's password is its name."""

    broker: Broker
    vhost: str
    things: frozenset[Thing]

    @asynccontextmanager
    async def connected(self, user: str) -> AsyncIterator[AbstractConnection]:
        """Yield a connection of a user's."""
        password = PASSWORD if user == USER else user
        url = make_url(host="127.0.0.1", port=self.broker.port, login=user, password=password, virtualhost=self.vhost)
        connection = Connection(url)
        async with connection:  # also when it does not come about: it is closed then, not left to be collected
            await connection.connect()
            yield connection

    def bound(self, name: str, **changed: str | int) -> None:
        """Change a policy: dashes in the names of its bounds are underscores. Blocks."""
        (policy,) = (each for each in self.things if isinstance(each, Policy) and each.name == name)
        definition = dict(policy.definition) | {key.replace("_", "-"): value for key, value in changed.items()}
        other = Policy(name=name, pattern=policy.pattern, definition=arguments(definition))
        with _management(self.broker) as management:
            management.make(to_definitions([other], self.vhost, {}))


@contextmanager
def installed(
    broker: Broker,
    vhost: str,
    rights: dict[Name, list[str]],
    gateway: str,
    observers: Mapping[Name, Interest] = MappingProxyType({}),
) -> Iterator[Installed]:
    """Set up RabbitMQ for an installation; it is gone at the end, and its users with it. Blocks."""
    things = made(rights, gateway, vhost, observers)
    users = [each.name for each in things if isinstance(each, User)]
    with _management(broker) as management:
        hashes = {user: password_hash(user.encode(), b"salt") for user in users}
        management.make(to_definitions(things, vhost, hashes))
    try:
        yield Installed(broker=broker, vhost=vhost, things=things)
    finally:
        for user in users:
            broker.ask("DELETE", f"users/{user}")
        broker.ask("DELETE", f"vhosts/{vhost}")


def _management(broker: Broker) -> Management:
    return Management(broker.management, username=USER, password=Secret(PASSWORD.encode()))
