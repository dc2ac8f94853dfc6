"""Events through a real nginx: streamed where it lets them pass, polled where it keeps them back (R16)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
import yaml

from agent.core.reconnect import Patience
from bellpull.cli.demo.world import World, world
from tests import soak
from tests.e2e.site import until as eventually
from tests.parts.nginx import PORT, Nginx
from tests.suites.embedded import BUFFERING, PLAIN, Embedded, Route, embedded
from tests.suites.transport import Ears, until

IMPATIENT = Patience(silence_s=0.6, soon_s=0.4, stream_again_s=1.0, wait_s=1)
_AGENTS = """
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass {target};
    {more}
  }}
}}
"""


def listening(gateway: Embedded, way: str) -> bool:
    return f'bellpull_agents_listening{{way="{way}"}} 1.0' in gateway.metrics.render()[0].decode()


@asynccontextmanager
async def agent_through(proxy: str, folder: Path, nginx: Path) -> AsyncIterator[tuple[Embedded, Ears]]:
    route = Route.BEFORE
    async with embedded(folder, route=route, nginx=nginx, proxy=proxy, patience=IMPATIENT) as gateway:
        ears = Ears(gateway, folder / "agent")
        async with ears.open():
            yield gateway, ears


async def test_nginx_as_it_is_lets_the_stream_pass(tmp_path: Path, nginx_program: Path) -> None:
    """The gateway asks it not to buffer, and it does not."""
    async with agent_through(PLAIN, tmp_path, nginx_program) as (gateway, ears):
        for number in range(1, 10):
            await ears.accept(number)
            await ears.hears(number)
        assert listening(gateway, "stream")
        assert not listening(gateway, "poll")


async def test_where_it_keeps_back_what_is_streamed_the_agent_polls(tmp_path: Path, nginx_program: Path) -> None:
    """Not a byte comes of a stream: after two silences events come by polls, each well before one could time out."""
    async with agent_through(BUFFERING, tmp_path, nginx_program) as (gateway, ears):
        numbers = count(1)
        end = monotonic() + 3.5 * IMPATIENT.stream_again_s
        while monotonic() < end:  # also while the stream is tried again in between, and still kept back
            await ears.accept(number := next(numbers))
            await ears.hears(number)
            await asyncio.sleep(0.1)
        await until(lambda: listening(gateway, "poll"), lambda: "it does not poll")
        assert ears.lost() == []
        assert len(ears.queue.frames) <= 4, "it fell silent twice, and has polled ever since"


async def test_when_the_proxy_is_gone_the_agent_streams_again(tmp_path: Path, nginx_program: Path) -> None:
    async with agent_through(BUFFERING, tmp_path, nginx_program) as (gateway, ears):
        await ears.accept(1)
        await ears.hears(1)
        gateway.lead_to_itself()
        await until(lambda: listening(gateway, "stream"), lambda: "it does not stream")
        await ears.accept(2)
        await ears.hears(2)
        ears.assert_in_order()


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_processes_with_a_buffering_proxy_between_them(
    tmp_path: Path, nginx_program: Path, git_programs: Path
) -> None:
    """The programs as users run them: the agent falls back by itself, and pushes are applied promptly again."""
    assert git_programs.name
    async with world() as made:
        config = _AGENTS.format(port=PORT, target=made.agents_url, more=BUFFERING)
        async with Nginx(nginx_program, tmp_path / "nginx", config) as nginx:
            await made.agent.stop()
            await asyncio.to_thread(_lead_to, made, nginx.url)
            begun = monotonic()
            await made.agent.start("running")

            async def falls_back() -> bool:
                return made.agent.said("hearing the gateway") > 1

            await eventually(falls_back, lambda: "it never heard the gateway again", patience_s=150)
            fell_back_s = monotonic() - begun
            slowest_s = 0.0
            for number in range(1, 6):
                push = await made.push({"index.html": f"push {number}\n"}, f"Push {number}")
                delivery = await made.deliver(push)
                slowest_s = max(slowest_s, await made.shows("index.html", f"push {number}\n") - delivery.sent)
            soak.record("buffering proxy", seconds=round(fell_back_s), rounds=5, slowest_ms=round(slowest_s * 1000))
            assert slowest_s < 5


def _lead_to(made: World, url: str) -> None:
    settings = yaml.safe_load(made.agent.config.read_text())
    settings["gateway"]["url"] = url
    made.agent.config.write_text(yaml.safe_dump(settings))
