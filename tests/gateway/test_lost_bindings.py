"""Bindings of one of several agents that went, in a real RabbitMQ: it hears all the same, or is named (R6, X10).

That an event was taken tells nothing of one agent: another's queue took it, or a gateway's own, which hears what
other gateways accepted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aio_pika.abc import AbstractIncomingMessage

from bellpull.contract.event import RefUpdated, Resync, Tick
from bellpull.contract.message import Message, decode
from bellpull.contract.routing import agent_key, agent_queue, binding_key
from bellpull.contract.text import Name
from bellpull.runtime.rabbitmq.consume import consuming
from gateway.adapters.ears import hearing_gateways
from gateway.core.audience import AT_ONCE
from tests.gateway.brokers import bind, unbind
from tests.gateway.examples import push
from tests.gateway.test_forwarder import Forwarding, forwarding, until
from tests.gateway.test_overhearing import settings_of
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.rabbitmq import Broker

VHOST = "lost-bindings"
WEB, DB, SHOP = Name("web-1"), Name("db-1"), Name("shop-1")
ACME, OTHER = "github.com/acme/*", "github.com/other/shop"
RIGHTS: dict[Name, list[str]] = {WEB: [ACME], DB: [ACME], SHOP: [OTHER]}
TO_ACME = binding_key("github.com", "acme")
_IDLE_S = 1.5
UNBOUND = f"agent {WEB} has no queue, or it is not bound: run: bellpull broker setup"


@pytest.fixture
def site(broker: Broker) -> Iterator[Installed]:
    with installed(broker, VHOST, RIGHTS, GATEWAY) as made:
        yield made


@asynccontextmanager
async def gateway(
    site: Installed, folder: Path, records: Mapping[Name, Sequence[str]] = RIGHTS, present: Sequence[Name] = ()
) -> AsyncIterator[Forwarding]:
    """Forward as the gateways' user, beside a queue that hears what other gateways accepted."""
    settings = await asyncio.to_thread(settings_of, site, folder)
    async with (
        hearing_gateways(settings, folder, "another gateway"),
        forwarding(folder, settings, records=records, tick_s=0.1, present=present) as running,
    ):
        await until(lambda: "not connected" not in "".join(running.forwarder.problems()))
        yield running


async def heard(site: Installed, agent: Name) -> list[AbstractIncomingMessage]:
    """Take what is in an agent's queue but for ticks, as the agent."""
    found: list[AbstractIncomingMessage] = []
    async with site.connected(agent) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(agent_queue(agent), ensure=False)
        async with consuming(channel, queue, at_once=1000) as messages:
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(_IDLE_S):
                        found.append(await anext(messages))
                        await found[-1].ack()
    return [each for each in found if not isinstance(opened(each).data, Tick)]


def opened(message: AbstractIncomingMessage) -> Message:
    """Return what a message says."""
    read = decode(message.body)
    assert isinstance(read, Message)
    return read


async def pushes(site: Installed, agent: Name) -> int:
    """Return how many pushes there were in an agent's queue."""
    return sum(isinstance(opened(each).data, RefUpdated) for each in await heard(site, agent))


@pytest.mark.parametrize("others", [(), (DB,)], ids=["of one of two", "of all"])
async def test_who_lost_the_binding_to_its_repositories_hears_all_the_same(
    site: Installed, tmp_path: Path, others: Sequence[Name]
) -> None:
    for agent in (WEB, *others):
        await asyncio.to_thread(unbind, site.broker, VHOST, agent_queue(agent), TO_ACME)
    async with gateway(site, tmp_path) as running:
        await running.accept(push(1))
        await running.settled()
        assert running.forwarder.problems() == ()
    assert [await pushes(site, agent) for agent in (WEB, DB, SHOP)] == [1, 1, 0]


async def test_what_is_added_to_a_record_is_heard_before_the_next_set_up(site: Installed, tmp_path: Path) -> None:
    async with gateway(site, tmp_path, RIGHTS | {SHOP: [OTHER, "github.com/acme/site"]}) as running:
        await running.accept(push(1))
        await running.settled()
    assert [await pushes(site, agent) for agent in (WEB, DB, SHOP)] == [1, 1, 1]


async def test_who_is_bound_to_nothing_is_named_and_looks_at_everything_later(
    site: Installed, tmp_path: Path
) -> None:
    """R31: the binding by which an agent hears of pushes is the one that ticks go by."""
    async with gateway(site, tmp_path, present=(WEB, DB)) as running:
        await until(lambda: running.forwarder.problems() == ())
        for key in (agent_key(WEB), TO_ACME):
            await asyncio.to_thread(unbind, site.broker, VHOST, agent_queue(WEB), key)
        await until(lambda: running.forwarder.problems() == (UNBOUND,))
        await running.accept(push(1))
        await running.settled()
        await asyncio.to_thread(bind, site.broker, VHOST, agent_queue(WEB), agent_key(WEB))
        await until(lambda: running.forwarder.problems() == ())
    assert [type(opened(each).data) for each in await heard(site, WEB)] == [Resync]
    assert await pushes(site, DB) == 1


async def test_each_of_fifty_is_reached_by_its_binding_alone(site: Installed, tmp_path: Path) -> None:
    """What the how-to says: a key for each would hold up the broker; who hears nothing finds out by looking."""
    more = {Name(f"more-{number}"): [ACME] for number in range(AT_ONCE - 2)}
    await asyncio.to_thread(unbind, site.broker, VHOST, agent_queue(WEB), TO_ACME)
    async with gateway(site, tmp_path, RIGHTS | more) as running:
        await running.accept(push(1))
        await running.settled()
    assert [await pushes(site, agent) for agent in (WEB, DB)] == [0, 1]


async def test_nobody_is_told_who_else_hears(site: Installed, tmp_path: Path) -> None:
    """P3, R32: a stolen credential tells no other agents' names."""
    async with gateway(site, tmp_path) as running:
        await running.accept(push(1))
        await running.settled()
    (message,) = await heard(site, WEB)
    assert DB not in str(message.info())
    assert b"db-1" not in message.body
