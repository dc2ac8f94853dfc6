"""The forwarder and a broker that fails: zero of what was accepted is lost (P1)."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bellpull.contract.routing import agent_key, agent_queue
from tests.gateway.brokers import declare, login, queue
from tests.gateway.examples import commit, push
from tests.gateway.test_forwarder import ALL, WEB, Forwarding, forwarding, heard, newest, until
from tests.parts.rabbitmq import Broker

pytestmark = pytest.mark.timeout(400)
_AGAIN_S = 90
"""For the forwarder to come back: its pauses have grown to a quarter of a minute while the node started."""


async def test_nothing_is_lost_when_the_broker_is_killed_under_load_and_stays_away(
    rabbitmq: Broker, tmp_path: Path
) -> None:
    """P1: of each ref the newest that was accepted before, while and after the broker was away is heard, last.

    The queues are as an agent's. RabbitMQ 3.10.8 writes the name of a new quorum queue to disk some seconds late, and
    one that it then has not is without a leader and empty; so they are of some age.
    """
    await asyncio.to_thread(declare, rabbitmq)
    await asyncio.to_thread(queue, rabbitmq, "all", ALL)
    await asyncio.to_thread(queue, rabbitmq, agent_queue(WEB), agent_key(WEB))
    await until(lambda: _knows_by_disk(rabbitmq, "all", agent_queue(WEB)))
    settings = await asyncio.to_thread(login, rabbitmq, tmp_path)
    last: dict[str, object] = {}

    async def load(running: Forwarding, numbers: range) -> None:
        for number in numbers:
            ref = f"refs/heads/b{number % 97}" if number % 2 else f"refs/heads/once{number}"
            await running.accept(push(number, ref=ref))
            last[ref] = commit(number)

    async with forwarding(tmp_path, settings) as running:
        async with asyncio.TaskGroup() as group:
            group.create_task(load(running, range(1, 400)))
            await until(lambda: len(last) > 100)
            await asyncio.to_thread(rabbitmq.kill)
        await load(running, range(400, 900))
        assert running.forwarder.waiting >= 500
        assert running.forwarder.problems()[0].startswith("the broker cannot be reached")
        await asyncio.to_thread(rabbitmq.start)
        await load(running, range(900, 1000))
        await running.settled(_AGAIN_S)
        assert running.forwarder.problems() == ()
    assert newest(await heard(rabbitmq, "all", "/")) == last


async def test_a_broker_short_of_memory_takes_nothing_and_says_so(rabbitmq_program: Path, tmp_path: Path) -> None:
    """An alarm: the connection stands, and what is sent is not read. It goes once there is room again."""
    node = Broker(rabbitmq_program, tmp_path / "node", "vm_memory_high_watermark.absolute = 1MB\n")
    await asyncio.to_thread(node.start)
    try:
        await asyncio.to_thread(declare, node)
        await asyncio.to_thread(queue, node, "all", ALL)
        await asyncio.to_thread(queue, node, agent_queue(WEB), agent_key(WEB))
        await until(lambda: _knows_by_disk(node, "all", agent_queue(WEB)))
        settings = await asyncio.to_thread(login, node, tmp_path)
        await asyncio.to_thread(_wait_for_the_alarm, node)
        async with forwarding(tmp_path, settings, answer_s=1.0) as running:
            await running.accept(push(1))
            await until(lambda: "short of memory or disk" in "".join(running.forwarder.problems()), _AGAIN_S)
            assert running.forwarder.waiting == 1
            await asyncio.to_thread(node.kill)
            node.config = ""
            await asyncio.to_thread(node.start)
            await running.settled(_AGAIN_S)
        assert newest(await heard(node, "all", "/")) == {"refs/heads/main": commit(1)}
    finally:
        with suppress(ValueError):
            await asyncio.to_thread(node.kill)


def _knows_by_disk(node: Broker, *queues: str) -> bool:
    known = b"".join(path.read_bytes() for path in node.folder.glob("data/*/quorum/*/names.dets"))
    return all(f"%2F_{name}".encode() in known for name in queues)


def _wait_for_the_alarm(node: Broker) -> None:
    end = time.monotonic() + 30
    while not node.ask("GET", "nodes")[0].get("mem_alarm"):
        assert time.monotonic() < end
        time.sleep(0.1)
