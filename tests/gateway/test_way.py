"""The way to a RabbitMQ: who would hear knows it, and who had no queue for a while looks at everything (R1, R31)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellpull.contract.event import Resync, StateRequested, Tick
from bellpull.contract.routing import agent_key, agent_queue
from bellpull.contract.text import Name
from tests.gateway.brokers import declare, left_in, login, queue
from tests.gateway.examples import push
from tests.gateway.test_forwarder import ALL, LATE, UNBOUND, WEB, forwarding, said, until
from tests.parts.rabbitmq import Broker

VHOST = "way"


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    with broker.vhost(VHOST) as name:
        declare(broker, name)
        give_queue(broker, WEB)
        yield name


def give_queue(broker: Broker, agent: Name) -> None:
    queue(broker, agent_queue(agent), agent_key(agent), ALL, vhost=VHOST)


async def kinds(broker: Broker, agent: Name) -> list[type]:
    """Return what kinds of messages an agent's queue had."""
    found = await asyncio.to_thread(left_in, broker, agent_queue(agent), VHOST)
    return [type(said(each).data) for each in found]


async def test_who_is_there_gets_ticks_and_who_is_away_gets_none(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """Ticks must not push out of a bounded queue what an agent is to hear when it comes back."""
    await asyncio.to_thread(give_queue, broker, LATE)
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, agents=(WEB, LATE), tick_s=0.1, present=(WEB,)) as running:
        await until(lambda: running.forwarder.problems() == ())
        await asyncio.sleep(1)
    assert len(await kinds(broker, WEB)) > 3
    assert await kinds(broker, LATE) == [Tick]


async def test_who_had_no_queue_looks_at_everything_once_it_has_one(
    broker: Broker, vhost: str, tmp_path: Path
) -> None:
    """R1, X10: that another's queue took an event does not tell that this agent's did."""
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, agents=(WEB, LATE), tick_s=0.1) as running:
        await running.accept(push(1))
        await running.settled()
        assert running.forwarder.problems() == (UNBOUND,)
        await asyncio.to_thread(give_queue, broker, LATE)
        await until(lambda: running.forwarder.problems() == ())
        await asyncio.sleep(0.5)
    assert await kinds(broker, LATE) == [Tick, Resync]
    assert Resync not in await kinds(broker, WEB)


async def test_a_queue_that_goes_is_noticed_and_made_good(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """R6: no return shows it."""
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, tick_s=0.1, present=(WEB,)) as running:
        await until(lambda: running.forwarder.problems() == ())
        await asyncio.to_thread(broker.ask, "DELETE", f"queues/{vhost}/{agent_queue(WEB)}")
        await until(lambda: "has no queue" in "".join(running.forwarder.problems()))
        await asyncio.to_thread(give_queue, broker, WEB)
        await until(lambda: running.forwarder.problems() == ())
    assert (await kinds(broker, WEB)).count(Resync) == 1


async def test_who_is_asked_for_its_state_is_asked_once(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """R22."""
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, tick_s=0.1, present=(WEB,)) as running:
        await until(lambda: running.forwarder.problems() == ())
        running.forwarder.ask(WEB)
        await asyncio.sleep(1)
    assert (await kinds(broker, WEB)).count(StateRequested) == 1
