"""Who may do what in a RabbitMQ that was set up: real connections, each trying what it must not do (P3, R21)."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelPreconditionFailed
from pamqp.commands import Basic
from pamqp.common import FieldValue

from bellpull.contract.routing import (
    DEAD_LETTERS,
    EVENTS,
    HEARTBEATS,
    REPORTS,
    agent_key,
    agent_queue,
    binding_key,
    report_key,
)
from bellpull.contract.text import Name
from tests.gateway.topologies import Installed, installed
from tests.parts.rabbitmq import USER, Broker

ME = Name("rights-1")
OTHER = Name("rights-2")
NEAR = Name("rights.1")
"""To an expression that took its dot for any character, `rights-1` would be it."""
LONGER = Name("rights-10")
GATEWAY = "rights_gateway"
QUORUM: dict[str, str | bool] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
EVERYTHING = "#"

Attempt = Callable[[AbstractChannel], Awaitable[object]]


@pytest.fixture(scope="module")
def site(broker: Broker) -> Iterator[Installed]:
    rights = {name: ["github.com/acme/*"] for name in (ME, OTHER, NEAR, LONGER)}
    with installed(broker, "rights", rights, GATEWAY) as site:
        yield site


def _publish(
    exchange: str, key: str, user: str | None = None, headers: dict[str, FieldValue] | None = None
) -> Attempt:
    return lambda channel: channel.basic_publish(
        b"{}", exchange=exchange, routing_key=key, properties=Basic.Properties(user_id=user, headers=headers)
    )


def _get(queue: str) -> Attempt:
    return lambda channel: channel.basic_get(queue)


def _consume(queue: str) -> Attempt:
    async def ignore(_: object) -> None:
        """Nothing comes."""

    return lambda channel: channel.basic_consume(queue, ignore)


def _purge(queue: str) -> Attempt:
    return lambda channel: channel.queue_purge(queue)


def _delete(queue: str) -> Attempt:
    return lambda channel: channel.queue_delete(queue)


def _declare(queue: str, **more: str) -> Attempt:
    table = {**QUORUM, **{f"x-{name.replace('_', '-')}": value for name, value in more.items()}}
    return lambda channel: channel.queue_declare(queue, durable=True, arguments={**table})


def _bind(queue: str, exchange: str, key: str = EVERYTHING) -> Attempt:
    return lambda channel: channel.queue_bind(queue, exchange, key)


def _unbind(queue: str) -> Attempt:
    return lambda channel: channel.queue_unbind(queue, EVENTS, binding_key("github.com"))


_NO_AGENT_MAY: dict[str, Attempt] = {
    "read another's queue": _get(agent_queue(OTHER)),
    "consume another's queue": _consume(agent_queue(OTHER)),
    "read the queue of a name that is like its own": _get(agent_queue(NEAR)),
    "read the queue of a name that begins like its own": _get(agent_queue(LONGER)),
    "empty another's queue": _purge(agent_queue(OTHER)),
    "delete another's queue": _delete(agent_queue(OTHER)),
    "delete its own queue": _delete(agent_queue(ME)),
    "read dead letters": _get(DEAD_LETTERS),
    "declare a queue": _declare("mine"),
    "declare a queue with its own name in it": _declare(f"{agent_queue(ME)}.2"),
    "declare its own queue": _declare(agent_queue(ME)),
    "declare one that rejects into the events": _declare("mine", dead_letter_exchange=EVENTS),
    "declare a gateway's queue": _declare("bellpull.gw.9"),
    "declare a queue that the broker names": lambda channel: channel.queue_declare("", exclusive=True),
    "declare an exchange": lambda channel: channel.exchange_declare("mine", exchange_type="topic"),
    "bind its queue to every event": _bind(agent_queue(ME), EVENTS),
    "bind its queue to what another is told": _bind(agent_queue(ME), EVENTS, agent_key(OTHER)),
    "bind its queue to others' reports": _bind(agent_queue(ME), REPORTS),
    "unbind its queue": _unbind(agent_queue(ME)),
    "unbind another's queue": _unbind(agent_queue(OTHER)),
    "bind exchanges": lambda channel: channel.exchange_bind(REPORTS, EVENTS, EVERYTHING),
    "publish an event": _publish(EVENTS, "github%2ecom.acme.site.branch.main"),
    "publish an event to itself": _publish(EVENTS, agent_key(ME)),
    "publish an event under its own key": _publish(EVENTS, report_key(ME)),
    "publish to the default exchange": _publish("", agent_queue(OTHER)),
    "publish to its own queue": _publish("", agent_queue(ME)),
    "publish to the dead letters": _publish(DEAD_LETTERS, ""),
    "publish to an exchange of the broker": _publish("amq.topic", report_key(ME)),
    "report as another": _publish(REPORTS, report_key(OTHER)),
    "report as one of a name that is like its own": _publish(REPORTS, report_key(NEAR)),
    "report as one of a name that begins like its own": _publish(REPORTS, report_key(LONGER)),
    "report under a longer key": _publish(REPORTS, f"{report_key(ME)}.more"),
    "report under no key": _publish(REPORTS, ""),
    "beat as another": _publish(HEARTBEATS, report_key(OTHER)),
}

_NO_GATEWAY_MAY: dict[str, Attempt] = {
    "read an agent's queue": _get(agent_queue(ME)),
    "consume an agent's queue": _consume(agent_queue(ME)),
    "empty an agent's queue": _purge(agent_queue(ME)),
    "delete an agent's queue": _delete(agent_queue(ME)),
    "declare an agent's queue": _declare(agent_queue(ME)),
    "declare a new agent's queue": _declare("bellpull.agent.rights-9"),
    "bind an agent's queue": _bind(agent_queue(ME), EVENTS),
    "unbind an agent's queue": _unbind(agent_queue(ME)),
    "publish to an agent's queue past the exchange": _publish("", agent_queue(ME)),
    "report as an agent": _publish(REPORTS, report_key(ME)),
    "beat as an agent": _publish(HEARTBEATS, report_key(ME)),
    "publish to the dead letters": _publish(DEAD_LETTERS, ""),
    "read dead letters": _get(DEAD_LETTERS),
    "declare an exchange": lambda channel: channel.exchange_declare("bellpull.more", exchange_type="topic"),
    "delete the exchange": lambda channel: channel.exchange_delete(EVENTS),
    "have an own queue's rejects go to an agent": lambda channel: channel.queue_declare(
        "bellpull.gw.9", exclusive=True, arguments={"x-dead-letter-exchange": "amq.fanout"}
    ),
}


async def _attempt(site: Installed, user: str, attempt: Attempt) -> None:
    async with site.connected(user) as connection, connection.channel() as channel:
        await attempt(await channel.get_underlay_channel())


async def _emptied(site: Installed) -> dict[Name, int]:
    """Empty every agent's queue, which each may do with its own, and return how much there was in it."""
    counts = {}
    for agent in (ME, OTHER, NEAR):
        async with site.connected(agent) as connection, connection.channel() as channel:
            emptied = await (await channel.get_underlay_channel()).queue_purge(agent_queue(agent))
            counts[agent] = (emptied.message_count if emptied else None) or 0
    return counts


@pytest.mark.parametrize("attempt", _NO_AGENT_MAY.values(), ids=_NO_AGENT_MAY.keys())
async def test_an_agent_may_not(site: Installed, attempt: Attempt) -> None:
    with pytest.raises(ChannelAccessRefused):
        await _attempt(site, ME, attempt)


async def test_a_dot_in_an_agents_name_stands_for_itself(site: Installed) -> None:
    with pytest.raises(ChannelAccessRefused):
        await _attempt(site, NEAR, _purge(agent_queue(ME)))


@pytest.mark.parametrize("attempt", _NO_GATEWAY_MAY.values(), ids=_NO_GATEWAY_MAY.keys())
async def test_a_gateway_may_not(site: Installed, attempt: Attempt) -> None:
    with pytest.raises(ChannelAccessRefused):
        await _attempt(site, GATEWAY, attempt)


@pytest.mark.parametrize("user", [OTHER, GATEWAY, USER])
async def test_nobody_publishes_as_somebody_else(site: Installed, user: str) -> None:
    """RabbitMQ checks the user that a message bears: what bears an agent's name was said with its credential."""
    with pytest.raises(ChannelPreconditionFailed, match=re.escape(f"'{user}' but authenticated user was '{ME}'")):
        await _attempt(site, ME, _publish(REPORTS, report_key(ME), user))


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_further_keys_are_not_held_to_topic_permissions(site: Installed, header: str) -> None:
    """The hole that the how-to names; should this fail, RabbitMQ is one of 4.1 or later, and has none."""
    async with site.connected(GATEWAY) as ours, ours.channel() as hearing:
        channel = await hearing.get_underlay_channel()
        await channel.queue_declare("bellpull.gw.1", exclusive=True)
        await channel.queue_bind("bellpull.gw.1", REPORTS, report_key(OTHER))
        await _attempt(site, ME, _publish(REPORTS, report_key(ME), ME, {header: [report_key(OTHER)]}))
        found = await channel.basic_get("bellpull.gw.1", no_ack=True)
    assert (found.routing_key, found.header.properties.user_id) == (report_key(ME), ME)


@pytest.mark.parametrize("exchange", [REPORTS, HEARTBEATS])
async def test_an_agent_reports_as_itself_and_the_gateways_hear_it(site: Installed, exchange: str) -> None:
    async with site.connected(GATEWAY) as ours, ours.channel() as hearing:
        channel = await hearing.get_underlay_channel()
        await channel.queue_declare("bellpull.gw.1", exclusive=True)
        await channel.queue_bind("bellpull.gw.1", exchange, EVERYTHING)
        await _attempt(site, ME, _publish(exchange, report_key(ME), ME))
        found = await channel.basic_get("bellpull.gw.1", no_ack=True)
    assert found.header.properties.user_id == ME
    assert found.routing_key == report_key(ME)


async def test_a_gateways_event_is_heard_by_agents_and_by_every_gateway(site: Installed) -> None:
    """R22."""
    async with site.connected(GATEWAY) as ours, ours.channel() as hearing:
        channel = await hearing.get_underlay_channel()
        await channel.queue_declare("bellpull.gw.1", exclusive=True)
        await channel.queue_bind("bellpull.gw.1", EVENTS, EVERYTHING)
        await _emptied(site)
        await _attempt(site, GATEWAY, _publish(EVENTS, "github%2ecom.acme.site.branch.main", GATEWAY))
        assert (await channel.basic_get("bellpull.gw.1", no_ack=True)).body == b"{}"
    assert await _emptied(site) == {ME: 1, OTHER: 1, NEAR: 1}


async def test_who_is_alone_told_something_is_alone_to_hear_it(site: Installed) -> None:
    await _emptied(site)
    await _attempt(site, GATEWAY, _publish(EVENTS, agent_key(OTHER)))
    assert await _emptied(site) == {ME: 0, OTHER: 1, NEAR: 0}


async def test_a_second_consumer_of_an_agents_queue_gets_nothing_while_the_first_is_there(site: Installed) -> None:
    """R19: a standby with the same credential must not take half of the messages."""
    heard: list[str] = []
    done = asyncio.Event()

    async def note(who: str, message: AbstractIncomingMessage) -> None:
        heard.append(f"{who}: {message.body.decode()} of {message.user_id}")
        if len(heard) == 4:
            done.set()

    await _emptied(site)
    async with site.connected(ME) as connection, connection.channel() as first, connection.channel() as second:
        for who, channel in (("leader", first), ("standby", second)):
            queue = await channel.get_queue(agent_queue(ME), ensure=False)
            await queue.consume(partial(note, who), no_ack=True)
        for _ in range(4):
            await _attempt(site, GATEWAY, _publish(EVENTS, agent_key(ME), GATEWAY))
        async with asyncio.timeout(30):
            await done.wait()
    assert heard == [f"leader: {{}} of {GATEWAY}"] * 4


async def test_an_agent_cannot_take_all_connections(site: Installed) -> None:
    """The fifth at once is refused; the other users', and its own later, are not."""
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(site.connected(ME))
        with pytest.raises(AMQPError):
            await stack.enter_async_context(site.connected(ME))
        await stack.enter_async_context(site.connected(OTHER))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(site.connected(ME))
