"""P1 against SIGKILL with RabbitMQ: whenever the gateway is killed, the newest of what it answered 202 is heard.

Senders keep sending all the time, whatever is up, and the agent's queue is consumed all the time. The gateway is
killed at random moments: while it accepts, sends, waits for confirms, and writes down what was confirmed.
"""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import aiohttp
import orjson
import pytest

from bellpull.contract.event import Tick
from bellpull.contract.routing import SEAL, agent_queue
from bellpull.runtime.http import client
from bellpull.runtime.rabbitmq.consume import consuming
from tests import soak
from tests.e2e.brokered import RIGHTS, WEB, Brokered, brokered, heard
from tests.gateway.github import headers, payload
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.front import free_port
from tests.parts.rabbitmq import Broker

pytestmark = pytest.mark.timeout(1200)
_SENDERS: Final = 8
_REFS: Final = 12
_PATIENCE_S: Final = 90.0
_AWAY_S: Final = 60.0
_MANY: Final = 5000


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "e2e", RIGHTS, GATEWAY) as made:
        yield made


@dataclass(slots=True)
class _Load:
    """Senders that never stop by themselves, and what they were promised."""

    url: str
    chance: random.Random
    promised: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)
    unanswered: int = 0
    round: int = 0
    """Each has refs of its own, so that what is lost by one kill is not made good by what follows."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with client(total_s=30) as session, asyncio.TaskGroup() as tasks:
            senders = [tasks.create_task(self._send(session)) for _ in range(_SENDERS)]
            yield
            for sender in senders:
                sender.cancel()

    async def _send(self, session: aiohttp.ClientSession) -> None:
        while True:
            commit = f"{self.chance.getrandbits(160):040x}"
            body = orjson.dumps(payload(ref=f"refs/heads/r{self.round}-{self.chance.randrange(_REFS)}", after=commit))
            fields = {key.decode(): value.decode() for key, value in headers(body)} | {"X-GitHub-Delivery": commit}
            try:
                async with session.post(self.url, data=body, headers=fields) as response:
                    self.statuses.add(response.status)
                    if response.status == 202:
                        self.promised |= set((await response.json())["events"])
            except aiohttp.ClientError:
                self.unanswered += 1
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def _listening(folder: Brokered, installation: Installed) -> AsyncIterator[list[str]]:
    """Consume as the agent does; yields the ids of what was heard, as they come."""
    ids: list[str] = []

    async def listen() -> None:
        async with installation.connected(WEB) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(agent_queue(WEB), ensure=False)
            async with consuming(channel, queue, at_once=50) as incoming:
                async for each in incoming:
                    message = folder.opened(each.body, each.headers[SEAL])
                    if not isinstance(message.data, Tick):
                        ids.append(message.id)
                    await each.ack()

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        yield ids
        listening.cancel()


@pytest.mark.parametrize("rounds", [6, pytest.param(150, marks=pytest.mark.soak)])
async def test_what_was_answered_202_is_heard_whenever_the_gateway_is_killed(
    installation: Installed, tmp_path: Path, rounds: int
) -> None:
    """P1, R6, R13: zero lost; of each ref the newest that was promised, or one that came after it, was heard."""
    begun, seed = monotonic(), random.getrandbits(32)
    chance, port = random.Random(seed), free_port()
    folder = _at(port, brokered(tmp_path, installation))
    load = _Load(f"http://127.0.0.1:{port}/hooks/github", chance)
    async with _listening(folder, installation) as ids:
        async with load.running():
            for load.round in range(rounds):
                await asyncio.to_thread(_serve_and_kill, folder, chance.uniform(0.0, 1.0))
        await asyncio.to_thread(_serve_until_sent, folder)
        lost = await _lost(folder, load.promised, ids)
    soak.record(
        "gateway killed under load, with RabbitMQ",
        rounds=rounds,
        answered=len(load.promised),
        heard=len(set(ids)),
        lost=len(lost),
        again=len(ids) - len(set(ids)),
        unanswered=load.unanswered,
        seconds=round(monotonic() - begun),
    )
    assert not lost, f"seed {seed}: of {len(load.promised)} answered 202 these refs' newest were not heard: {lost}"
    assert load.statuses <= {202, 503}
    assert load.unanswered >= rounds, "the gateway was not killed under load"
    assert len(load.promised) > rounds * 10


@pytest.mark.soak
async def test_what_was_answered_202_is_heard_after_a_broker_that_was_killed_and_away_for_a_minute(
    rabbitmq: Broker, tmp_path: Path
) -> None:
    """P1, P13, R13: thousands of pushes are answered meanwhile, and a message a ref is what is left of them."""
    begun, port = monotonic(), free_port()
    with installed(rabbitmq, "e2e", RIGHTS, GATEWAY) as installation:
        folder = _at(port, brokered(tmp_path, installation))
        load = _Load(f"http://127.0.0.1:{port}/hooks/github", random.Random())
        with folder.running() as gateway:
            async with load.running():
                await asyncio.sleep(3)
                await asyncio.to_thread(rabbitmq.kill)
                load.round, away = 1, monotonic()
                while monotonic() - away < _AWAY_S or len(load.promised) < _MANY:  # noqa: ASYNC110 - the load goes on
                    await asyncio.sleep(0.1)
                answered, waited = len(load.promised), folder.waiting()
                load.round = 2
                await asyncio.to_thread(rabbitmq.start)
                await asyncio.sleep(3)
            back = monotonic()
            await asyncio.to_thread(_until_sent, folder)
            sent_s = monotonic() - back
            assert await asyncio.to_thread(gateway.stop) == 0
        ids: list[str] = [each.message.id for each in await asyncio.to_thread(heard, folder, installation)]
        lost = await _lost(folder, load.promised, ids)
    soak.record(
        "broker killed, and away for a minute",
        answered=len(load.promised),
        heard=len(set(ids)),
        lost=len(lost),
        again=len(ids) - len(set(ids)),
        unanswered=load.unanswered,
        waited=waited,
        sent_s=round(sent_s, 1),
        seconds=round(monotonic() - begun),
    )
    assert answered >= _MANY
    assert not lost, f"of {len(load.promised)} answered 202 these refs' newest were not heard: {lost}"
    assert (load.statuses, load.unanswered) == ({202}, 0), "the broker kept pushes waiting"


def _at(port: int, folder: Brokered) -> Brokered:
    """Have the gateway take pushes at a port."""
    config = (folder.path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace('hooks: "127.0.0.1:0"', f'hooks: "127.0.0.1:{port}"'))
    return folder


def _serve_and_kill(folder: Brokered, after_s: float) -> None:
    """Start it, and kill it `after_s` after it listens; blocks."""
    with folder.running() as gateway:
        sleep(after_s)
        assert gateway.process.poll() is None, "it ended by itself"


def _serve_until_sent(folder: Brokered) -> None:
    """Start it once more, and stop it when nothing waits for the broker; blocks."""
    with folder.running() as gateway:
        _until_sent(folder)
        assert gateway.stop() == 0


def _until_sent(folder: Brokered) -> None:
    end = monotonic() + _PATIENCE_S
    while left := folder.waiting():
        assert monotonic() < end, f"{left} wait"
        sleep(0.05)


async def _lost(folder: Brokered, promised: set[str], ids: list[str]) -> list[str]:
    """Return the refs of which the newest that was promised, and all after it, were not heard; waits a while."""
    rows = await asyncio.to_thread(_rows, folder)
    numbers = {event: number for number, event, _ in rows}
    refs = {event: ref for _, event, ref in rows}
    assert promised <= numbers.keys(), "a 202 is not in the journal"
    end = monotonic() + _PATIENCE_S
    while True:
        newest = dict.fromkeys(refs.values(), 0)
        for event in ids:
            newest[refs[event]] = max(newest[refs[event]], numbers[event])
        lost = sorted({refs[event] for event in promised if numbers[event] > newest[refs[event]]})
        if not lost or monotonic() > end:
            return lost
        await asyncio.sleep(0.1)


def _rows(folder: Brokered) -> list[tuple[int, str, str]]:
    """Return number, id and ref of all that the journal has."""
    with closing(sqlite3.connect(folder.path / "data" / "journal.db")) as disk:
        return disk.execute("SELECT seq, event_id, ref FROM events ORDER BY seq").fetchall()
