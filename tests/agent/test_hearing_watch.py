"""An agent that learns for which of its Syncs events come, from a gateway that answers or does not."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from agent.adapters.state import StateFolder
from agent.app.hearing import HearingWatch
from agent.core import finds
from agent.core.hear import Ack
from agent.core.inbox import Pace
from agent.ports.queue import QueueError
from agent.spec import Sync
from bellpull.contract.cursor import Cursor
from bellpull.contract.standing import Standing
from bellpull.contract.stream import Frame, MessageFrame, Receipt
from bellpull.contract.text import CommitId, Name, SyncName
from bellpull.runtime.clock import utc_now

SITE, SHOP = SyncName("default/site"), SyncName("default/shop")
COMMIT = CommitId("b" * 40)
EVERY_MINUTE, AS_SET = timedelta(seconds=60), timedelta(minutes=5)
STANDING = Standing(
    agent=Name("web-1"),
    installation=Name("acme"),
    seal="kid",
    keys=(),
    environments=(Name("production"),),
    repositories=("git.example/acme/site",),
)


@dataclass(slots=True)
class _Gateway:
    """One that says how the agent stands: as told here, nothing (too old), or it cannot be asked."""

    silence = timedelta(minutes=1)
    says: Standing | QueueError | None = STANDING
    asked: int = 0

    async def standing(self) -> Standing | None:
        self.asked += 1
        if isinstance(self.says, QueueError):
            raise self.says
        return self.says

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        raise NotImplementedError

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame, None]:
        raise QueueError(f"nothing to hear after {cursor}")
        yield

    async def send(self, seal: str, body: bytes) -> Receipt:
        raise QueueError(f"{len(seal) + len(body)} bytes did not go")


def sync(name: str) -> Sync:
    value: dict[str, Any] = {
        "apiVersion": "bellpull.dev/v1alpha1",
        "kind": "Sync",
        "metadata": {"name": name},
        "spec": {
            "source": {"url": f"https://git.example/acme/{name}", "branch": "main"},
            "target": {"directory": {"path": f"/srv/{name}"}},
        },
    }
    return Sync.model_validate(value)


@dataclass(slots=True)
class _Agent:
    """What became of the Syncs' paces, and which were looked at."""

    folder: Path
    gateway: _Gateway = field(default_factory=_Gateway)
    intervals: dict[SyncName, timedelta] = field(default_factory=dict)
    looked: list[SyncName] = field(default_factory=list)
    changes: int = 0

    def pace(self, key: SyncName, pace: Pace) -> None:
        self.intervals[key] = pace.interval

    def look(self, keys: Collection[SyncName], _: str) -> None:
        self.looked += keys

    def changed(self) -> None:
        self.changes += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[HearingWatch]:
        state = await asyncio.to_thread(StateFolder, self.folder)
        watch = HearingWatch(
            syncs=(sync("site"), sync("shop")),
            queue=self.gateway,
            state=state,
            pace=self.pace,
            look=self.look,
            changed=self.changed,
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watch.run())
            yield watch
            running.cancel()


async def until(look: Callable[[], bool]) -> None:
    end = monotonic() + 10
    while not look():
        assert monotonic() < end
        await asyncio.sleep(0.005)


@pytest.fixture
def agent(tmp_path: Path) -> _Agent:
    return _Agent(tmp_path)


async def test_a_sync_that_the_record_does_not_name_polls_each_minute(agent: _Agent) -> None:
    """R31; the other keeps its pace, and nothing is looked at anew: the start did."""
    async with agent.running() as watch:
        watch.frame(utc_now())
        watch.connected()
        await until(lambda: bool(watch.missing))
        assert watch.missing.keys() == {SHOP}
        assert agent.intervals == {SHOP: EVERY_MINUTE}
        assert (agent.looked, agent.changes) == ([], 1)


async def test_a_repository_that_is_added_is_looked_at_and_heard(agent: _Agent) -> None:
    """R15: at once, and the pace is the Sync's own again."""
    async with agent.running() as watch:
        watch.connected()
        await until(lambda: bool(watch.missing))
        agent.gateway.says = replace(STANDING, repositories=("git.example/**",))
        watch.connected()
        await until(lambda: not watch.missing)
        assert (agent.looked, agent.intervals) == ([SHOP], {SHOP: AS_SET})


async def test_what_was_added_while_the_agent_was_away_is_looked_at_too(agent: _Agent) -> None:
    """What the record named is kept over a restart."""
    async with agent.running() as watch:
        watch.connected()
        await until(lambda: (agent.folder / "repositories").exists())
    agent.gateway.says = replace(STANDING, repositories=("git.example/acme/site", "git.example/acme/shop"))
    async with agent.running() as watch:
        await until(lambda: bool(watch.missing))
        watch.connected()
        await until(lambda: not watch.missing)
        assert agent.looked == [SHOP]


async def test_silence_has_all_of_them_poll_until_a_frame_comes(agent: _Agent) -> None:
    """The reason says how the last connection ended."""
    async with agent.running() as watch:
        watch.lost("connection refused")
        watch._hearing = replace(watch._hearing, begun=utc_now() - timedelta(seconds=59.9))
        watch._wake.set()
        await until(lambda: len(watch.missing) == 2)
        assert agent.intervals == {SITE: EVERY_MINUTE, SHOP: EVERY_MINUTE}
        assert all("connection refused" in why.reason for why in watch.missing.values())
        watch.frame(utc_now())
        await until(lambda: not watch.missing)
        assert agent.intervals == {SITE: AS_SET, SHOP: AS_SET}
        assert agent.changes == 2


async def test_what_a_look_found_and_no_event_told_of(agent: _Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """R31: that Sync polls each minute, and says why, until an event of it comes."""
    monkeypatch.setattr(finds, "GRACE", timedelta(milliseconds=200))
    async with agent.running() as watch:
        watch.frame(utc_now())
        watch.found(SITE, COMMIT, utc_now() - timedelta(minutes=5))
        assert not watch.missing
        await until(lambda: watch.missing.keys() == {SITE})
        assert "no event told of it" in watch.missing[SITE].reason
        assert agent.intervals == {SITE: EVERY_MINUTE}
        watch.told(SITE, COMMIT)
        await until(lambda: not watch.missing)
        assert agent.intervals == {SITE: AS_SET}


async def test_a_find_says_nothing_while_the_way_is_broken(agent: _Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one of just before it broke: the event may be on its way again."""
    monkeypatch.setattr(finds, "GRACE", timedelta(milliseconds=100))
    async with agent.running() as watch:
        watch.frame(utc_now())
        watch.found(SITE, COMMIT, utc_now() - timedelta(minutes=5))
        watch.lost("connection refused")
        watch.found(SHOP, COMMIT, utc_now() - timedelta(minutes=5))
        await asyncio.sleep(0.3)
        assert not watch.missing


@pytest.mark.parametrize("says", [None, QueueError("answered 502")], ids=["too old", "an error"])
async def test_of_a_gateway_that_does_not_say_nothing_is_concluded(says: QueueError | None, agent: _Agent) -> None:
    agent.gateway.says = says
    async with agent.running() as watch:
        watch.connected()
        await until(lambda: agent.gateway.asked > 0)
        await asyncio.sleep(0.02)
        assert not watch.missing


async def test_who_was_not_answered_asks_again_at_the_next_connection(agent: _Agent) -> None:
    agent.gateway.says = QueueError("answered 502")
    async with agent.running() as watch:
        watch.connected()
        await until(lambda: agent.gateway.asked == 1)
        agent.gateway.says = STANDING
        watch.connected()
        await until(lambda: watch.missing.keys() == {SHOP})
