"""What the demo does, one function a step: something is done, something is feared, and what happened is checked.

A step returns what happened in a sentence, and raises `StepFailedError` where it is not what was promised.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

from bellpull.cli.demo.world import World

__all__ = ["STEPS", "WELL", "Happened", "Step", "StepFailedError", "duration", "expect"]


WELL: Final = ("applied", "unchanged")
"""Unchanged: a run for an earlier push found it in Git already."""


class StepFailedError(Exception):
    """A promise that was not kept; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What came of a step. `hops_ms` are milliseconds since the gateway received the push, in order."""

    text: str
    hops_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: its name, what is done, what one would fear, and the function that does and checks it."""

    name: str
    done: str
    feared: str
    run: Callable[[World], Awaitable[Happened]]


async def _push(world: World) -> Happened:
    push = await world.push({"index.html": "hello 1\n"}, "Say hello")
    delivery = await world.deliver(push)
    expect(delivery.status == 202, f"the gateway answered {delivery.status}, not 202")
    live = await world.shows("index.html", "hello 1\n")
    hops = _hops(await world.answer(push.after))
    way = ", ".join(f"{name} {ms:.0f}" for name, ms in hops.items())
    return Happened(text=f"live {duration(live - delivery.sent)} after the webhook (ms: {way})", hops_ms=hops)


async def _forged(world: World) -> Happened:
    push = await world.push({"index.html": "not announced\n"}, "Unannounced")
    delivery = await world.deliver(push, secret=b"a guess")
    expect(delivery.status == 401, f"the gateway answered {delivery.status}, not 401")
    async with world.session.get(f"{world.console_url}/api/v1/commits/{push.after}") as response:
        expect(response.status == 404, "the gateway knows of the forged commit")
    expect(await world.served.read("index.html") == "hello 1\n", "the site changed")
    return Happened(text="answered 401, nothing was stored, no agent heard of it, the site is what it was")


async def _revert(world: World) -> Happened:
    await world.revert()
    push = await world.push({"news.html": "oops\n"}, "A bad idea")
    await world.deliver(push)
    await world.shows("news.html", "oops\n")
    delivery = await world.deliver(await world.revert())
    gone = await world.gone("news.html")
    expect(await world.served.read("index.html") == "hello 1\n", "the first page is not what it was")
    return Happened(
        text=f"`git revert` and a push: the site was back {duration(gone - delivery.sent)} after the webhook"
    )


async def _drift(world: World) -> Happened:
    edited = monotonic()
    await world.served.deface("index.html", "defaced\n")
    undone = await world.shows("index.html", "hello 1\n")
    return Happened(text=f"undone {duration(undone - edited)} after the edit: the page is what Git says")


async def _burst(world: World) -> Happened:
    pushes = [await world.push({"index.html": f"burst {number}\n"}, f"Burst {number}") for number in range(1, 11)]
    before = world.agent.said("said", word="applied")
    deliveries = [await world.deliver(push) for push in pushes]
    live = await world.shows("index.html", "burst 10\n")
    words = [(await world.answer(push.after))["syncs"][0]["word"] for push in pushes]
    expect(words[-1] in WELL, f"the last push ended as {words[-1]}")
    expect(set(words) <= {*WELL, "superseded"}, f"the pushes ended as {words}")
    writes = world.agent.said("said", word="applied") - before
    expect(writes < len(pushes), f"{writes} runs wrote for {len(pushes)} pushes")
    return Happened(
        text=f"the tenth was live {duration(live - deliveries[0].sent)} after the first webhook; the site was "
        f"written {_times(writes)}, {words.count('superseded')} pushes ended as superseded, none without a word"
    )


async def _gateway_killed(world: World) -> Happened:
    push = await world.push({"index.html": "survived\n"}, "Survive")
    world.agent.hold()
    delivery = await world.deliver(push)
    await world.gateway.kill()
    expect(delivery.status == 202, f"the gateway answered {delivery.status}, not 202")
    world.agent.release()
    again = monotonic()
    await world.gateway.start("listening")
    live = await world.shows("index.html", "survived\n")
    word = (await world.answer(push.after))["syncs"][0]["word"]
    expect(word in WELL, f"the push ended as {word}")
    return Happened(text=f"the push was on disk: live {duration(live - again)} after the restart began, and {word}")


async def _agent_away(world: World) -> Happened:
    await world.agent.stop()
    pushes = [await world.push({"index.html": f"away {number}\n"}, f"Away {number}") for number in range(1, 4)]
    for push in pushes:
        await world.deliver(push)
    expect(await world.served.read("index.html") == "survived\n", "the site changed while the agent was away")
    again = monotonic()
    await world.agent.start("hearing the gateway")
    live = await world.shows("index.html", "away 3\n")
    words = [(await world.answer(push.after))["syncs"][0]["word"] for push in pushes]
    expect(words[-1] in WELL, f"the last push ended as {words[-1]}")
    expect(set(words[:-1]) == {"superseded"}, f"the pushes ended as {words}")
    return Happened(
        text=f"what ran kept running; the third push was live {duration(live - again)} after the agent's start "
        "began, the first two ended as superseded"
    )


STEPS: Final[tuple[Step, ...]] = (
    Step(
        name="push",
        done="a commit was pushed, and its signed webhook delivered",
        feared="waiting for a poll, or an open port into the server",
        run=_push,
    ),
    Step(
        name="forged",
        done="a webhook was sent that was signed with a guessed secret",
        feared="a stranger rings the bell",
        run=_forged,
    ),
    Step(
        name="revert",
        done="a bad commit went live, and was reverted in Git",
        feared="a rollback is another procedure than a deployment",
        run=_revert,
    ),
    Step(
        name="drift",
        done="somebody edited a served page by hand",
        feared="the server is no longer what Git says, and nobody knows",
        run=_drift,
    ),
    Step(
        name="burst",
        done="ten pushes came at once",
        feared="ten deployments in a row, or one lost in between",
        run=_burst,
    ),
    Step(
        name="gateway-killed",
        done="the gateway was killed (SIGKILL) right after its 202, before the agent could hear",
        feared="the push is lost: the provider does not send it again",
        run=_gateway_killed,
    ),
    Step(
        name="agent-away",
        done="the agent was stopped, three pushes came, it was started again",
        feared="it comes back to an old commit, or goes through all three",
        run=_agent_away,
    ),
)


def _hops(announcement: dict[str, Any]) -> dict[str, float]:
    """Return milliseconds from the gateway's receipt to each hop."""
    hops: dict[str, str | None] = announcement["syncs"][0]["hops"]
    start = datetime.fromisoformat(hops["received"] or "")
    names = ("accepted", "heard", "started", "finished")
    return {
        name: round((datetime.fromisoformat(at) - start).total_seconds() * 1000, 1)
        for name in names
        if (at := hops[name]) is not None
    }


def duration(seconds: float) -> str:
    """Return it as people say it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def expect(kept: bool, message: str) -> None:  # noqa: FBT001 - it reads as an assertion
    """Go on where a promise was kept.

    Raises:
        StepFailedError: it was not; `message` says what was.
    """
    if not kept:
        raise StepFailedError(message)
