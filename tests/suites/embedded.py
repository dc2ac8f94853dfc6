"""The embedded queue as the transport suite drives it: the gateway's listener for agents, with a network between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Final

import pytest

from agent.adapters.stream import StreamQueue
from agent.core.reconnect import Patience, Ways
from bellpull.contract.message import Message
from bellpull.runtime.address import Address
from bellpull.runtime.http import client, serve
from bellpull.runtime.secret import Secret
from gateway.app import streams
from gateway.app.agents import agents_app
from tests.deploy import shipped
from tests.parts.breaking import Breaking
from tests.parts.nginx import PORT, Nginx
from tests.suites.gateway import TOKEN, GatewayParts

__all__ = ["BUFFERING", "PLAIN", "Embedded", "Route", "embedded"]

PATIENCE: Final = Patience(silence_s=0.5, soon_s=0.4, wait_s=1)
_PROXY: Final = """
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://127.0.0.1:{target};
    proxy_read_timeout 5m;
    {more}
  }}
}}
"""
PLAIN: Final = 'proxy_http_version 1.1; proxy_set_header Connection "";'
"""nginx as nobody has configured it for this: it buffers, unless the gateway asks it not to."""
BUFFERING: Final = """
    proxy_http_version 1.0;
    proxy_buffering on;
    proxy_ignore_headers X-Accel-Buffering;
"""
"""Not a byte is passed on before a buffer is full; chunks, which HTTP/1.0 does not have, nginx would pass on."""


class Route(StrEnum):
    """What is between the agent and the gateway, from left to right."""

    DIRECT = "network"
    BEFORE = "network, nginx"
    BEHIND = "nginx, network"


class Embedded(GatewayParts):
    """One gateway and one agent's end; made by `embedded`."""

    queue: StreamQueue
    is_exact = True
    tells = True
    ends = b"\n"

    def __init__(self, folder: Path, network: Breaking) -> None:
        super().__init__(folder, network)
        self.port = 0

    async def start(self) -> None:
        """Start the gateway, at the same port as before."""
        parts = await self.open(forwards=False)
        address = Address(host="127.0.0.1", port=self.port)
        self.port = (await self._gateway.enter_async_context(serve(agents_app(parts), address, name="agents"))).port
        self._network.release()

    async def stop(self) -> None:
        """Stop the gateway; who connects meanwhile waits: asyncio's own loop leaks a connection it accepts then."""
        self._network.hold()
        await asyncio.sleep(0.01)
        await self._gateway.aclose()

    async def again(self, *messages: Message) -> None:
        """See `Harness`: the place that the agent opens at says it."""

    def lead_to_itself(self) -> None:
        """Take away what is between the network and the gateway."""
        self._network.target = self.port
        self._network.break_all()


def _configured(proxy: str | None, target: int, folder: Path) -> str:
    """Return what leads to the port `target`; the example's other name leads to where nobody is."""
    if proxy is not None:
        return _PROXY.format(port=PORT, target=target, more=proxy)
    return shipped.nginx_without_tls(shipped.Gateway(hooks=1, agents=target), folder / "tls")


@asynccontextmanager
async def embedded(
    folder: Path,
    *,
    polls: bool = False,
    route: Route = Route.DIRECT,
    nginx: Path | None = None,
    proxy: str | None = None,
    patience: Patience = PATIENCE,
) -> AsyncIterator[Embedded]:
    """Yield a gateway that runs, and an agent's end that leads to it.

    Args:
        folder: for everything on disk.
        polls: whether the agent is past trying to stream.
        route: by which way the agent's end leads there.
        nginx: the program, for a route that has it.
        proxy: what its configuration says, in place of the shipped one.
        patience: of the agent.
    """
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(streams, "_TICK_S", patience.silence_s / 3)
        network = await stack.enter_async_context(Breaking())
        made = Embedded(folder, network)
        await made.start()
        stack.push_async_callback(made.stop)
        port = network.target = made.port
        if route is not Route.DIRECT:
            assert nginx is not None
            behind = network.port if route is Route.BEHIND else made.port
            config = _configured(proxy, behind, folder)
            running = await stack.enter_async_context(Nginx(nginx, folder / "nginx", config))
            port = running.port
            network.target = made.port if route is Route.BEHIND else running.port
        url = f"http://127.0.0.1:{port if route is Route.BEHIND else network.port}"
        session = await stack.enter_async_context(client(total_s=None, read_s=None))
        made.queue = StreamQueue(session, url, lambda: Secret(TOKEN.encode()), patience)
        if polls:
            made.queue._ways = Ways(silent=patience.silences, stream_at=inf)
        yield made
