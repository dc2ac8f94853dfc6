"""Agents' ears: for each the queue in RabbitMQ, the listener and the inbox, and nothing that reconciles.

Run as `python -m tests.bench.hearing SETTINGS`, a process for many agents; `SETTINGS` is JSON: `url`,
`installation`, `seal` (the public key) and `agents`, of whom each one's user and password are its name. It says a
line when all of them listen, then one for each event that all of them have in their inboxes: its commit, and when the
last one had it, by the clock `monotonic`, which all processes of a machine share. It ends with its standard input.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import orjson
import uvloop

from agent.adapters.rabbitmq import RabbitMQQueue
from agent.adapters.state import StateFolder
from agent.app.listener import Listener
from agent.core.announced import Announced
from agent.core.inbox import Inbox, Pace
from bellpull.contract.event import RefUpdated
from bellpull.contract.message import Message
from bellpull.contract.report import TriggerKind
from bellpull.contract.text import Name, SyncName
from bellpull.runtime import logs
from bellpull.runtime.clock import utc_now
from bellpull.runtime.config import SecretRef
from bellpull.runtime.jose import load_public
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["main"]

_SYNC: Final = SyncName("site")
_PACE: Final = Pace(interval=timedelta(minutes=5), retry=timedelta(minutes=1))


class _Process:
    """What the agents of a process share."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.url: str = settings["url"]
        self.agents: list[str] = settings["agents"]
        self.keys = dict([load_public(settings["seal"])])
        self.installation: str = settings["installation"]
        self._listening = 0
        self._heard: Counter[str] = Counter()

    async def run(self, folder: Path) -> None:
        await asyncio.to_thread(self._write_passwords, folder)
        async with asyncio.TaskGroup() as tasks:
            ears = [tasks.create_task(self._listen(Name(agent), folder / agent)) for agent in self.agents]
            await asyncio.to_thread(sys.stdin.read)
            for each in ears:
                each.cancel()

    def _write_passwords(self, folder: Path) -> None:
        for agent in self.agents:
            (folder / agent).mkdir()
            (folder / agent / "password").write_text(agent)

    async def _listen(self, agent: Name, folder: Path) -> None:
        settings = RabbitMQSettings(url=self.url, username=agent, password=SecretRef(file=Path("password")))
        inbox = Inbox()
        inbox.watch(_SYNC, _PACE, utc_now(), 1.0)

        def take(message: Message, now: datetime) -> None:
            if isinstance(message.data, RefUpdated):
                inbox.offer(_SYNC, TriggerKind.EVENTS, now, Announced.from_event(message.id, message.data, now))
                self._has_heard(message.data.after or "")

        await Listener(
            queue=RabbitMQQueue(settings, folder, agent),
            state=StateFolder(folder),
            installation=self.installation,
            agent=agent,
            keys=lambda: self.keys,
            take=take,
            resync=lambda _: None,
            connected=self._has_connected,
            heard=lambda _: None,
            lost=lambda _: None,
        ).run()

    def _has_connected(self) -> None:
        self._listening += 1
        if self._listening == len(self.agents):
            self._say(listening=self._listening)

    def _has_heard(self, commit: str) -> None:
        self._heard[commit] += 1
        if self._heard[commit] == len(self.agents):
            self._say(commit=commit, at=monotonic())

    def _say(self, **said: object) -> None:
        sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
        sys.stdout.buffer.flush()


def main(words: list[str]) -> None:
    """Listen until standard input ends."""
    logs.configure("bench", level="error")
    with (
        tempfile.TemporaryDirectory(prefix="bellpull-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_Process(orjson.loads(words[0])).run(Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
