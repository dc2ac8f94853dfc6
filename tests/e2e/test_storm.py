"""Agents that all come back at once, after the gateway was killed (R17)."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Final

import aiohttp
import pytest
import yaml

from agent.adapters.state import StateFolder
from agent.adapters.stream import StreamQueue
from agent.app.config import load_config
from agent.app.files import AgentFiles
from agent.app.listener import Listener
from bellpull.cli.demo.repository import Push
from bellpull.cli.demo.world import World, world
from bellpull.contract.message import Message
from bellpull.runtime.secret import Secret
from tests import soak
from tests.e2e.site import open_to_all
from tests.suites.transport import until

pytestmark = [pytest.mark.usefixtures("git_programs"), pytest.mark.timeout(600)]

_SENDERS: Final = 4
_OUTAGE_S: Final = 3.0


def _token(number: int) -> str:
    return f"bpa_crowd-{number}_{number:064x}"


def _enroll(folder: Path, count: int) -> None:
    """Enroll a crowd beside `web-1`, with its rights."""
    open_to_all(folder)
    record = yaml.safe_load((folder / "agents" / "web-1.yaml").read_text())
    for number in range(count):
        token = {"sha256": sha256(_token(number).encode()).hexdigest()}
        text = json.dumps(record | {"agent": f"crowd-{number}", "token": token})
        (folder / "agents" / f"crowd-{number}.yaml").write_text(text)


class _Crowd:
    """Many agents, each with its own listener, connection and state; what each heard."""

    def __init__(self, made: World, count: int, folder: Path) -> None:
        config = load_config(made.agent.config)
        self._files = AgentFiles(config, made.agent.config)
        self._url, self._installation = str(config.gateway.url), config.gateway.installation
        self._states = [StateFolder(folder / str(number)) for number in range(count)]
        self.heard: list[set[str]] = [set() for _ in range(count)]
        self.there: set[int] = set()

    async def listen(self, session: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        return [tasks.create_task(self._listener(session, number).run()) for number in range(len(self.heard))]

    def _listener(self, session: aiohttp.ClientSession, number: int) -> Listener:
        def take(message: Message, _: datetime) -> None:
            self.heard[number].add(message.id)

        return Listener(
            queue=StreamQueue(session, self._url, lambda: Secret(_token(number).encode())),
            state=self._states[number],
            installation=self._installation,
            agent="web-1",
            keys=lambda: self._files.keys.value,
            take=take,
            resync=lambda _: None,
            connected=lambda: self.there.add(number),
            heard=lambda _: None,
            lost=lambda _: None,
        )

    def all_heard(self, event: str) -> bool:
        return all(event in heard for heard in self.heard)


class _Senders:
    """Deliver webhooks all the time; how long the slowest was answered after, while the gateway was up."""

    def __init__(self, made: World) -> None:
        self._made = made
        self.slowest_s = 0.0
        self.answered = 0

    async def send(self, name: str) -> None:
        before, number = f"{0:040x}", 0
        while True:
            number += 1
            after = f"{hash((name, number)) & (1 << 64) - 1:040x}"
            begun = monotonic()
            try:
                delivery = await self._made.deliver(Push(before=before, after=after), name=f"busy/{name}")
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
                continue
            assert delivery.status == 202
            self.answered += 1
            self.slowest_s = max(self.slowest_s, monotonic() - begun)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.soak)])
async def test_all_are_heard_again_and_webhooks_are_answered_meanwhile(count: int, tmp_path: Path) -> None:
    """The gateway is killed and away for some seconds; every agent hears it again within as long, and what came."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(world(lambda folder, _: _enroll(folder, count)))
        await made.agent.stop()
        unlimited = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=unlimited))
        crowd = await asyncio.to_thread(_Crowd, made, count, tmp_path)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = await crowd.listen(session, tasks)
        await until(lambda: len(crowd.there) == count, lambda: f"only {len(crowd.there)} are there")
        await _hear(made, crowd, 1)
        await made.gateway.kill()
        await asyncio.sleep(_OUTAGE_S)
        await made.gateway.start("listening")
        senders = _Senders(made)
        running += [tasks.create_task(senders.send(f"s{number}")) for number in range(_SENDERS)]
        begun = monotonic()
        await _hear(made, crowd, 2)
        back_s = monotonic() - begun
        for task in running:
            task.cancel()
    soak.record(
        "agents back after a restart",
        rounds=count,
        seconds=round(back_s, 1),
        answered=senders.answered,
        slowest_ms=round(senders.slowest_s * 1000),
    )
    assert back_s < 3 * (_OUTAGE_S + count / 100)
    assert senders.answered > 0
    assert senders.slowest_s < 5


async def _hear(made: World, crowd: _Crowd, number: int) -> None:
    """Announce something, and wait until all agents have heard it."""
    delivery = await made.deliver(Push(before=f"{number:040x}", after=f"{number + 1:040x}"))
    (event,) = delivery.events
    await until(
        lambda: crowd.all_heard(event),
        lambda: f"{sum(event not in heard for heard in crowd.heard)} have not heard it",
    )
