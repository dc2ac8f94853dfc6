"""What becomes of messages in a RabbitMQ that was set up: where they go, what is dropped, what is kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from bellpull.contract.patterns import matches
from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.routing import DEAD_LETTERS, EVENTS, agent_key, agent_queue, routing_key
from bellpull.contract.text import Host, Name, RefName, RepositoryPath
from gateway.core.topology import bound_to
from tests.gateway.topologies import Installed, hears, installed
from tests.parts.rabbitmq import USER, Broker

AGENT = Name("queues-1")
GATEWAY = "queues_gateway"
_numbers = count()


@pytest.fixture
def site(broker: Broker) -> Iterator[Installed]:
    with installed(broker, f"queues-{next(_numbers)}", {AGENT: ["github.com/acme/*"]}, GATEWAY) as site:
        yield site


@asynccontextmanager
async def _channel(site: Installed, user: str) -> AsyncIterator[AbstractChannel]:
    async with site.connected(user) as connection, connection.channel() as channel:
        yield await channel.get_underlay_channel()


async def _publish(site: Installed, numbers: range, expiration: str | None = None) -> None:
    """Publish messages that are these numbers to the agent; they are in its queue when this returns."""
    properties = Basic.Properties(delivery_mode=2, expiration=expiration)
    async with _channel(site, GATEWAY) as channel:
        for number in numbers:
            await channel.basic_publish(
                str(number).encode(), exchange=EVENTS, routing_key=agent_key(AGENT), properties=properties
            )


async def _waiting(site: Installed, queue: str) -> int:
    async with _channel(site, USER) as channel:
        declared = await channel.queue_declare(queue, passive=True)
        return (declared.message_count if declared else None) or 0


async def _dead_letters(site: Installed, *expected: str) -> list[dict[str, Any]]:
    """Return all dead letters once they are as expected, or after some seconds as they are: they take a moment."""
    path = f"queues/{site.vhost}/{DEAD_LETTERS}/get"
    asked = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"}
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found = await asyncio.to_thread(site.broker.ask, "POST", path, asked)
        if [each["payload"] for each in found] == list(expected):
            break
        await asyncio.sleep(0.05)
    return found


async def _hear(site: Installed, number: int, *, answer: str) -> list[str]:
    """Consume this many deliveries as the agent, answer each, and return their bodies."""
    heard: list[str] = []
    done = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        if len(heard) < number:
            heard.append(message.body.decode())
            await (message.ack() if answer == "ack" else message.reject(requeue=answer == "requeue"))
        if len(heard) == number:
            done.set()

    async with site.connected(AGENT) as connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue(agent_queue(AGENT), ensure=False)
        await queue.consume(take)
        async with asyncio.timeout(30):
            await done.wait()
    return heard


async def test_what_finds_no_room_is_no_dead_letter_and_the_newest_are_kept(site: Installed) -> None:
    """R20: nine of ten are dropped while the agent is away; a reject that comes after them arrives alone."""
    await asyncio.to_thread(site.bound, "bellpull.agents", max_length=50)
    await _publish(site, range(500))
    assert await _waiting(site, agent_queue(AGENT)) == 50
    assert await _hear(site, 1, answer="reject") == ["450"]
    (found,) = await _dead_letters(site, "450")
    assert found["payload"] == "450"
    assert found["properties"]["headers"]["x-first-death-reason"] == "rejected"
    assert found["properties"]["headers"]["x-first-death-queue"] == agent_queue(AGENT)
    assert await _hear(site, 49, answer="ack") == [str(number) for number in range(451, 500)]


async def test_what_grew_old_is_no_dead_letter(site: Installed) -> None:
    """A hint of last week says nothing that was not said since."""
    await _publish(site, range(3), expiration="1")
    await _publish(site, range(3, 4))
    assert await _hear(site, 1, answer="reject") == ["3"]
    assert [each["payload"] for each in await _dead_letters(site, "3")] == ["3"]


async def test_what_is_delivered_in_vain_is_a_dead_letter_at_last(site: Installed) -> None:
    """A message that ends its agent must not do so for ever; RabbitMQ 3 has no limit of its own."""
    await _publish(site, range(1))
    assert await _hear(site, 21, answer="requeue") == ["0"] * 21
    (found,) = await _dead_letters(site, "0")
    assert found["properties"]["headers"]["x-first-death-reason"] == "delivery_limit"


async def test_dead_letters_are_bounded_and_those_looked_at_stay_in_order(site: Installed) -> None:
    await asyncio.to_thread(site.bound, DEAD_LETTERS, max_length=5)
    await _publish(site, range(8))
    await _hear(site, 8, answer="reject")
    kept = ["3", "4", "5", "6", "7"]
    for _ in range(25):  # more often than an agent's message may be delivered
        assert [each["payload"] for each in await _dead_letters(site, *kept)] == kept


PATTERNS = [
    "github.com/acme/site",
    "GitHub.com/Acme/Lib",
    "github.com/acme/*",
    "github.com/**",
    "*/acme/site",
    "*.example/acme/site",
    "**/site",
    "**",
    f"git.example/{'a' * 200}",
    "git.example/größe/*",
    "git.example/größe/straße",
    "git.example/a.b#c".replace("#", "+"),
]
REPOSITORIES = [
    ("github.com", "acme/site"),
    ("github.com", "ACME/lib"),
    ("github.com", "other/site"),
    ("git.example", "acme/site"),
    ("git.example", "A" * 200),
    ("git.example", "a" * 201),
    ("git.example", "Größe/STRASSE"),
    ("git.example", "a.b+c"),
    ("git.example", "a.b#c*"),
    ("git.example", "g/h/site"),
]


async def test_bindings_do_at_the_broker_what_their_matcher_says(broker: Broker) -> None:
    """Each agent hears every event that its pattern admits, and of others just those that the binding says."""
    rights = {Name(f"bound-{number}"): [pattern] for number, pattern in enumerate(PATTERNS)}
    ref = Ref(kind=RefKind.BRANCH, name=RefName("release/1.x"))
    sent = [Repository(host=Host(host), path=RepositoryPath(path)) for host, path in REPOSITORIES]
    with installed(broker, f"queues-{next(_numbers)}", rights, GATEWAY) as site:
        async with _channel(site, GATEWAY) as channel:
            for repository in sent:
                body = repository.key.encode()
                await channel.basic_publish(body, exchange=EVENTS, routing_key=routing_key(repository, ref))
        for agent, (pattern,) in rights.items():
            admitted = {each.key for each in sent if matches([pattern], each.key)}
            bound = {each.key for each in sent if hears(bound_to(pattern), routing_key(each, ref))}
            heard = await _all_of(site, agent, len(bound))
            assert heard == bound
            assert heard >= admitted


async def _all_of(site: Installed, agent: Name, number: int) -> set[str]:
    """Consume all that an agent's queue holds, which has to be this many."""
    assert await _waiting(site, agent_queue(agent)) == number
    heard: set[str] = set()
    done = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        heard.add(message.body.decode())
        if len(heard) == number:
            done.set()

    async with site.connected(agent) as connection, connection.channel() as channel:
        await (await channel.get_queue(agent_queue(agent), ensure=False)).consume(take, no_ack=True)
        async with asyncio.timeout(30):
            await done.wait()
    return heard
