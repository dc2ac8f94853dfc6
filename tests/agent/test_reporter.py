import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from agent.app.reporter import Identity, Reporter
from agent.core.hear import Ack
from agent.ports.queue import QueueError
from bellpull.contract.cursor import Cursor
from bellpull.contract.standing import Standing
from bellpull.contract.stream import Frame, MessageFrame, Receipt
from bellpull.contract.text import Name
from bellpull.runtime.jose import generate


@dataclass(slots=True)
class _Away:
    """A gateway that is away until it is said to be up."""

    silence = timedelta(minutes=1)
    up: bool = False
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        raise NotImplementedError

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame, None]:
        raise QueueError(f"nothing to hear after {cursor}")
        yield

    async def send(self, seal: str, body: bytes) -> Receipt:
        if not self.up:
            self.refused.set()
            raise QueueError(f"away: {len(seal) + len(body)} bytes did not go")
        self.came.set()
        return Receipt()

    async def standing(self) -> Standing | None:
        return None


async def test_what_waits_for_the_gateway_goes_as_soon_as_it_is_heard_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pause between tries has become, hearing the gateway ends it."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most * 1000)
    queue = _Away()
    who = Identity(
        agent=Name("web-1"), environment=Name("test"), installation=Name("acme"), signer=generate(), epoch=1
    )
    reporter = Reporter(queue, who, lambda: ())
    reporter.changed()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reporter.run())
        await queue.refused.wait()
        queue.up = True
        await asyncio.sleep(0.05)
        assert not queue.came.is_set(), "the pause is not long enough to show anything"
        reporter.reachable()
        async with asyncio.timeout(10):
            await queue.came.wait()
        running.cancel()
