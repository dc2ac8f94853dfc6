"""A network between gateway and RabbitMQ that takes everything and passes nothing on, for longer than a heartbeat."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from tests import soak
from tests.e2e.brokered import RIGHTS, Brokered, heard, problems, push
from tests.gateway.process import eventually
from tests.gateway.topologies import GATEWAY, installed
from tests.parts.breaking import Break, Breaking, Cut
from tests.parts.rabbitmq import Broker

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]
_ENOUGH = 12_000
"""Bytes to the broker: a connection is made, and some events are sent."""


async def test_what_is_pushed_while_the_network_is_cut_is_heard(broker: Broker, tmp_path: Path) -> None:
    """P1: neither end sees it but by the heartbeat that does not come."""
    with installed(broker, "cut", RIGHTS, GATEWAY) as installation:
        async with Breaking(broker.port) as way:
            way.cuts.extend([Cut(to_server=_ENOUGH, how=Break.STALL)] * 2)
            folder = Brokered(tmp_path, f"amqp://127.0.0.1:{way.port}/{installation.vhost}")
            promised = await asyncio.to_thread(_push_on, folder)
        found = {each.message.id for each in await asyncio.to_thread(heard, folder, installation)}
    assert promised <= found


def _push_on(folder: Brokered) -> set[str]:
    """Push to a ref each until the network is cut and then some, and wait until all is sent; blocks."""
    promised: set[str] = set()
    with folder.running() as gateway:
        for number in range(60):
            answer = push(gateway, number, ref=f"refs/heads/b{number}")
            assert answer.status == 202
            promised |= set(answer.json()["events"])
        begun = monotonic()
        with eventually("all is sent", 200) as look:
            while folder.waiting():
                look.again()
        waited_s = monotonic() - begun
        with eventually("all is well", 30) as look:
            while problems(gateway):
                look.again()
        assert gateway.stop() == 0
    soak.record("network to RabbitMQ cut", answered=len(promised), sent_s=round(waited_s, 1))
    return promised
