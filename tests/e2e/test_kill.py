"""P1 against SIGKILL: whenever the gateway is killed, what it answered 2xx reaches the agent.

Senders keep sending all the time, whatever is up; each delivery is one of its own, so that none may be folded into
another. The gateway is killed at random moments, while it serves and while it starts. That power loss costs nothing
either is shown where the journal is tested: a killed process leaves its writes to the kernel.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Final

import aiohttp
import pytest

from agent.adapters.state import StateFolder
from agent.adapters.stream import StreamQueue
from agent.app.config import load_config
from agent.app.files import AgentFiles
from agent.app.listener import Listener
from bellpull.cli.demo.repository import Push
from bellpull.cli.demo.world import World, world
from bellpull.contract.message import Message
from bellpull.runtime.http import client
from tests import soak
from tests.e2e.site import open_to_all

pytestmark = [pytest.mark.usefixtures("git_programs"), pytest.mark.timeout(1200)]

_SENDERS: Final = 16
_REPOSITORIES: Final = 5
_REFS: Final = 3
_PATIENCE_S: Final = 60.0


@dataclass(slots=True)
class _Load:
    """Senders that never stop by themselves, and what they were promised."""

    world: World
    chance: random.Random
    promised: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)
    unanswered: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            senders = [tasks.create_task(self._send()) for _ in range(_SENDERS)]
            yield
            for sender in senders:
                sender.cancel()

    async def _send(self) -> None:
        before = _commit(self.chance)
        while True:
            after = _commit(self.chance)
            push = Push(before=before, after=after, ref=f"refs/heads/b{self.chance.randrange(_REFS)}")
            try:
                delivery = await self.world.deliver(push, name=f"load/r{self.chance.randrange(_REPOSITORIES)}")
            except aiohttp.ClientError:
                self.unanswered += 1
                await asyncio.sleep(0.02)
                continue
            self.statuses.add(delivery.status)
            self.promised |= set(delivery.events)
            before = after
            await asyncio.sleep(0.002)


class _Ears:
    """The agent's own listener, on the agent's own files and state; what it heard outlives its restarts."""

    def __init__(self, made: World) -> None:
        self._config = load_config(made.agent.config)
        self._files = AgentFiles(self._config, made.agent.config)
        assert self._files.token is not None
        self._token = self._files.token
        self.heard: set[str] = set()
        self.again = 0
        """How often something was heard that had been heard before."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with client(total_s=None, read_s=None) as session:
            listener = Listener(
                queue=StreamQueue(session, str(self._config.gateway.url), lambda: self._token.value),
                state=StateFolder(self._config.state),
                installation=self._config.gateway.installation,
                agent="web-1",
                keys=lambda: self._files.keys.value,
                take=self._take,
                resync=lambda _: None,
                connected=lambda: None,
                heard=lambda _: None,
                lost=lambda _: None,
            )
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(listener.run())
                yield
                running.cancel()

    def _take(self, message: Message, _: datetime) -> None:
        self.again += message.id in self.heard
        self.heard.add(message.id)


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.soak)])
async def test_what_was_answered_2xx_reaches_the_agent_whenever_the_gateway_is_killed(rounds: int) -> None:
    """Rounds of SIGKILL under load; the agent is started anew every few of them."""
    begun = monotonic()
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    async with world(_open_to_all) as made:
        await made.agent.stop()
        ears, load = _Ears(made), _Load(made, chance)
        async with load.running():
            for _ in range(0, rounds, 5):
                async with ears.open():
                    for _ in range(5):
                        await _kill_sometime(made, chance)
        async with ears.open():
            await _until_heard(load, ears)
    lost = load.promised - ears.heard
    soak.record(
        "gateway killed under load",
        rounds=rounds,
        answered=len(load.promised),
        lost=len(lost),
        again=ears.again,
        unanswered=load.unanswered,
        seconds=round(monotonic() - begun),
    )
    assert not lost, (
        f"seed {seed}: {len(lost)} of {len(load.promised)} answered 202 were never heard: {min(lost)} ..."
    )
    assert load.statuses <= {202, 503}
    assert load.unanswered >= rounds, "the gateway was not killed under load"
    assert len(load.promised) > rounds * 5


async def test_the_whole_agent_makes_what_was_promised_before_the_gateway_was_killed() -> None:
    """Under the same load, real pushes: each that was answered 202 ends in a word, and the last one is live."""
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    async with world(_open_to_all) as made:
        load = _Load(made, chance)
        promised = []
        async with load.running():
            for number in range(3):
                push = await made.push({"index.html": f"round {number}\n"}, f"Round {number}")
                assert (await made.deliver(push)).status == 202, f"seed {seed}"
                promised.append(push.after)
                await _kill_sometime(made, chance, most_s=0.05)
        await made.shows("index.html", "round 2\n")
        for commit in promised:
            word = (await made.answer(commit))["syncs"][0]["word"]
            assert word in ("applied", "unchanged", "superseded"), f"seed {seed}"


async def _kill_sometime(made: World, chance: random.Random, most_s: float = 0.4) -> None:
    """Kill the gateway within `most_s` of serving, and once in four times again while it starts."""
    await asyncio.sleep(chance.uniform(0, most_s))
    await made.gateway.kill()
    if chance.random() < 0.25:
        try:
            async with asyncio.timeout(chance.uniform(0.1, 0.7)):
                await made.gateway.start("listening")
        except TimeoutError:
            await made.gateway.kill()
            await made.gateway.start("listening")
    else:
        await made.gateway.start("listening")


async def _until_heard(load: _Load, ears: _Ears) -> None:
    """Wait until all that was promised was heard, or patience ends."""
    end = monotonic() + _PATIENCE_S
    while load.promised - ears.heard:
        if monotonic() > end:
            return
        await asyncio.sleep(0.05)


def _open_to_all(folder: Path, _: str) -> None:
    open_to_all(folder)


def _commit(chance: random.Random) -> str:
    return f"{chance.getrandbits(160):040x}"
