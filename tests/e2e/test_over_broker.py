"""Git, gateway, RabbitMQ and agent, as a user starts them (P12): the same is live and said as over the stream.

The agent is told of no listener of the gateway's: all that it hears and says goes over the broker.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
import yaml

from bellpull.cli.demo.world import World, world
from bellpull.contract.text import Name
from tests.e2e.site import until
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.breaking import Breaking
from tests.parts.rabbitmq import Broker

pytestmark = [pytest.mark.usefixtures("git_programs"), pytest.mark.timeout(180)]
WEB = Name("web-1")


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "whole", {WEB: ["127.0.0.1/demo/site"]}, GATEWAY) as made:
        yield made


@asynccontextmanager
async def _over(installation: Installed) -> AsyncIterator[tuple[World, Breaking]]:
    """Run all of it, with a network between the two programs and the broker."""
    async with Breaking(installation.broker.port) as way:
        url = f"amqp://127.0.0.1:{way.port}/{installation.vhost}"

        def prepare(folder: Path, _: str) -> None:
            _say_queue(folder / "gateway.yaml", url, GATEWAY)
            agent = folder / "web-1" / "agent.yaml"
            _say_queue(agent, url, WEB)
            config = yaml.safe_load(agent.read_text())
            del config["gateway"]["url"], config["gateway"]["token"]
            agent.write_text(yaml.safe_dump(config))

        async with world(prepare) as made:
            await until(lambda: _is_well(made), lambda: "something is wrong")
            yield made, way


def _say_queue(path: Path, url: str, user: str) -> None:
    """Have a program use the broker; in the tests' installations a user's password is its name."""
    (path.parent / "broker-password").write_text(user)
    config = yaml.safe_load(path.read_text())
    config["queue"] = {"rabbitmq": {"url": url, "username": user, "password": {"file": "broker-password"}}}
    path.write_text(yaml.safe_dump(config))


async def _is_well(made: World) -> bool:
    async with made.session.get(f"{made.console_url}/readyz") as response:
        return "problems" not in await response.json()


async def _push(made: World, content: str) -> str:
    """Push a page, deliver its webhook, and return the commit."""
    push = await made.push({"index.html": content}, f"Say {content}")
    assert (await made.deliver(push)).status == 202
    return push.after


async def _applied(made: World, commit: str) -> None:
    assert [sync["word"] for sync in (await made.answer(commit))["syncs"]] == ["applied"]


async def test_a_push_is_live_and_its_word_known(installation: Installed) -> None:
    async with _over(installation) as (made, _):
        for content in ("one\n", "two\n"):
            commit = await _push(made, content)
            await made.shows("index.html", content)
            await _applied(made, commit)


async def test_what_is_pushed_while_the_broker_or_the_agent_is_away_is_live_when_it_is_back(
    installation: Installed,
) -> None:
    """P1, P13: the gateway keeps what the broker cannot take, the broker what the agent cannot."""
    async with _over(installation) as (made, way):
        way.target = 1
        way.break_all()
        commit = await _push(made, "while the broker is away\n")
        way.target = installation.broker.port
        await made.shows("index.html", "while the broker is away\n")
        await _applied(made, commit)
        await made.agent.stop()
        commit = await _push(made, "while the agent is away\n")
        await asyncio.sleep(1)
        await made.agent.start("hearing the gateway")
        await made.shows("index.html", "while the agent is away\n")
        await _applied(made, commit)


@pytest.mark.soak
async def test_a_gateway_that_lost_its_state_asks_for_it(installation: Installed) -> None:
    """R22: within a heartbeat and a tick, and not only after the ten minutes that agents keep by themselves."""
    async with _over(installation) as (made, _):
        commit = await _push(made, "one\n")
        await _applied(made, commit)
        await asyncio.sleep(8)  # until the agent has said all by itself
        await made.gateway.stop()
        for path in (made.folder / "data").glob("state.db*"):
            path.unlink()
        await made.gateway.start("listening")
        begun = monotonic()
        while not (syncs := (await made.answer(commit, final=False))["syncs"]) or syncs[0]["word"] != "applied":
            assert monotonic() - begun < 90
            await asyncio.sleep(0.5)
