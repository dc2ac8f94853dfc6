"""Observers in a real RabbitMQ: what they hear, what they must not do (P3), and what becomes of what they leave."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused
from pamqp.commands import Basic

from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.routing import (
    DEAD_LETTERS,
    EVENTS,
    HEARTBEATS,
    OUTCOMES,
    PUSHES,
    REPORTS,
    agent_queue,
    observer_queue,
    report_key,
    routing_key,
)
from bellpull.contract.text import Host, Name, RefName, RepositoryPath
from gateway.core.observing import Interest, Kind
from tests.gateway.test_broker_rights import Attempt
from tests.gateway.topologies import Installed, installed
from tests.parts.rabbitmq import USER, Broker

AGENT, GATEWAY = Name("seen-1"), "seen_gateway"
ME, OTHER, NEAR, BUSY = Name("watcher-1"), Name("watcher-2"), Name("watcher.1"), Name("watcher-3")
MINE = observer_queue(ME)
MAIN = Ref(kind=RefKind.BRANCH, name=RefName("main"))


def _key(host: str, path: str) -> str:
    return routing_key(Repository(host=Host(host), path=RepositoryPath(path)), MAIN)


@pytest.fixture(scope="module")
def site(broker: Broker) -> Iterator[Installed]:
    observers = {
        ME: Interest(repositories=("github.com/acme/site", "git.example/**"), kinds=tuple(Kind)),
        OTHER: Interest(repositories=("github.com/acme/other",), kinds=(Kind.PUSHES,)),
        NEAR: Interest(repositories=("*/acme/site",), kinds=(Kind.OUTCOMES,)),
        BUSY: Interest(repositories=("busy.example/**",), kinds=tuple(Kind)),
    }
    with installed(broker, "observed", {AGENT: ["github.com/acme/*"]}, GATEWAY, observers) as site:
        yield site


@asynccontextmanager
async def _channel(site: Installed, user: str) -> AsyncIterator[AbstractChannel]:
    async with site.connected(user) as connection, connection.channel() as channel:
        yield await channel.get_underlay_channel()


def _publish(exchange: str, key: str) -> Attempt:
    return lambda channel: channel.basic_publish(b"{}", exchange=exchange, routing_key=key)


_NO_OBSERVER_MAY: dict[str, Attempt] = {
    "read another's queue": lambda channel: channel.basic_get(observer_queue(OTHER)),
    "read the queue of a name that is like its own": lambda channel: channel.basic_get(observer_queue(NEAR)),
    "read an agent's queue": lambda channel: channel.basic_get(agent_queue(AGENT)),
    "read dead letters": lambda channel: channel.basic_get(DEAD_LETTERS),
    "empty another's queue": lambda channel: channel.queue_purge(observer_queue(OTHER)),
    "delete its own queue": lambda channel: channel.queue_delete(MINE),
    "declare a queue": lambda channel: channel.queue_declare("mine", durable=True),
    "declare its own queue": lambda channel: channel.queue_declare(MINE, durable=True),
    "declare a queue that the broker names": lambda channel: channel.queue_declare("", exclusive=True),
    "declare an exchange": lambda channel: channel.exchange_declare("mine", exchange_type="topic"),
    **{
        f"bind its queue to all of {exchange}": lambda channel, exchange=exchange: channel.queue_bind(  # type: ignore[misc]
            MINE, exchange, "#"
        )
        for exchange in (EVENTS, REPORTS, HEARTBEATS, PUSHES, OUTCOMES, DEAD_LETTERS)
    },
    "unbind its queue": lambda channel: channel.queue_unbind(MINE, PUSHES, "git%2eexample.*.*.*.*"),
    "publish an event": _publish(EVENTS, _key("github.com", "acme/site")),
    "publish a push": _publish(PUSHES, _key("github.com", "acme/site")),
    "publish an outcome": _publish(OUTCOMES, _key("github.com", "acme/site")),
    "publish a report": _publish(REPORTS, report_key(AGENT)),
    "publish a heartbeat": _publish(HEARTBEATS, report_key(AGENT)),
    "publish to the default exchange": _publish("", agent_queue(AGENT)),
    "publish to its own queue": _publish("", MINE),
}


@pytest.mark.parametrize("attempt", _NO_OBSERVER_MAY.values(), ids=_NO_OBSERVER_MAY.keys())
async def test_an_observer_may_not(site: Installed, attempt: Attempt) -> None:
    async with _channel(site, ME) as channel:
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)


async def _emptied(site: Installed, observer: Name) -> list[str]:
    """Take all that an observer's queue holds, as the observer."""
    found = []
    async with _channel(site, observer) as channel:
        while (message := await channel.basic_get(observer_queue(observer), no_ack=True)).body:
            found.append(message.body.decode())
    return found


async def test_each_hears_what_it_is_granted_and_nothing_else(site: Installed) -> None:
    """What is not granted must not reach the queue: the user may read whatever is in it."""
    sent = [
        ("github.com", "acme/site"),
        ("github.com", "acme/other"),
        ("git.example", "any/thing"),
        ("x.y", "acme/site"),
    ]
    async with _channel(site, GATEWAY) as channel:
        for exchange in (PUSHES, OUTCOMES, EVENTS):
            for host, path in sent:
                body = f"{exchange} {host}/{path}".encode()
                await channel.basic_publish(body, exchange=exchange, routing_key=_key(host, path))
    mine = ("github.com/acme/site", "git.example/any/thing")
    assert await _emptied(site, ME) == [f"{exchange} {each}" for exchange in (PUSHES, OUTCOMES) for each in mine]
    assert await _emptied(site, OTHER) == [f"{PUSHES} github.com/acme/other"]
    assert await _emptied(site, NEAR) == [f"{OUTCOMES} github.com/acme/site", f"{OUTCOMES} x.y/acme/site"]


async def test_what_finds_no_room_is_gone_the_oldest_first_and_no_dead_letter(site: Installed) -> None:
    """R20: nine of ten while nobody listens; what the observer rejects is gone, too."""
    await asyncio.to_thread(site.bound, "bellpull.observers", max_length=50)
    async with _channel(site, GATEWAY) as channel:
        for number in range(500):
            await channel.basic_publish(
                str(number).encode(),
                exchange=PUSHES,
                routing_key=_key("busy.example", "a"),
                properties=Basic.Properties(delivery_mode=2),
            )
    async with _channel(site, BUSY) as channel:
        first = await channel.basic_get(observer_queue(BUSY))
        assert first.body == b"450"
        await channel.basic_reject(first.delivery_tag or 0, requeue=False)
    assert await _emptied(site, BUSY) == [str(number) for number in range(451, 500)]
    async with _channel(site, USER) as channel:
        declared = await channel.queue_declare(DEAD_LETTERS, passive=True)
    assert declared is not None
    assert declared.message_count == 0
