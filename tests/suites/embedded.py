"""The embedded queue as the transport suite drives it: the gateway's listener for agents, with a network between."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Final

import pytest

from agent.adapters.stream import StreamQueue
from agent.core.reconnect import Patience, Ways
from bellpull.contract.ids import agent_message_id
from bellpull.contract.message import Message, encode
from bellpull.contract.report import Report
from bellpull.contract.seal import PinnedKey, SealType, seal
from bellpull.contract.text import Name
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import client, serve
from bellpull.runtime.jose import generate, public_jwk
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.secret import Secret
from gateway.adapters.backup import back_up
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.state import SqliteState, open_state
from gateway.app import streams
from gateway.app.agents import AgentsParts, agents_app
from gateway.app.enrolment import Enrolment, Enrolments, TokenHash
from tests.deploy import shipped
from tests.gateway.examples import GITHUB, PRODUCTION, T0, WEB
from tests.parts.breaking import Breaking, Cut
from tests.parts.nginx import PORT, Nginx

__all__ = ["BUFFERING", "PLAIN", "Embedded", "Route", "embedded"]

TOKEN: Final = "bpa_web-1_" + "s" * 43
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


class Embedded:
    """One gateway and one agent's end; made by `embedded`."""

    installation = "acme"
    queue: StreamQueue

    def __init__(self, folder: Path, network: Breaking) -> None:
        self._folder = folder
        self._network = network
        self._gateway = AsyncExitStack()
        self._key, self._agent_key = generate(), generate()
        self.keys: Mapping[str, PinnedKey] = {self._key.kid: PinnedKey(verifier=self._key.public)}
        self.records = {WEB: self.record()}
        self.port = 0
        self.journal: SqliteJournal
        self.state: SqliteState
        self.metrics: Metrics

    def record(self, *repositories: str) -> Enrolment:
        """Return the agent's record."""
        return Enrolment(
            agent=WEB,
            environments=(PRODUCTION,),
            repositories=repositories or ("github.com/acme/site",),
            token=TokenHash(sha256=sha256(TOKEN.encode()).hexdigest()),
            keys=(public_jwk(self._agent_key.public),),
        )

    async def start(self) -> None:
        """Start the gateway, at the same port as before."""
        self.metrics = Metrics()
        enter = self._gateway.enter_async_context
        self.journal = await enter(open_journal(self._folder / "journal.db", utc_now()))
        self.state = await enter(open_state(self._folder / "state.db", utc_now()))
        parts = AgentsParts(
            installation=Name(self.installation),
            journal=self.journal,
            state=self.state,
            enrolments=lambda: Enrolments(self.records),
            signer=lambda: self._key,
            metrics=self.metrics,
        )
        address = Address(host="127.0.0.1", port=self.port)
        self.port = (await enter(serve(agents_app(parts), address, name="agents"))).port
        self._network.release()

    async def stop(self) -> None:
        """Stop the gateway; who connects meanwhile waits: asyncio's own loop leaks a connection it accepts then."""
        self._network.hold()
        await asyncio.sleep(0.01)
        await self._gateway.aclose()

    async def accept(self, *messages: Message) -> None:
        """See `Harness`."""
        for message in messages:
            await self.journal.accept(
                [message], source=GITHUB, delivery=message.id, body_digest="0" * 64, now=utc_now()
            )

    def seal(self, data: Report) -> tuple[str, bytes]:
        """See `Harness`."""
        id_ = agent_message_id(data.agent, data.epoch, data.seq)
        body = encode(Message(id=id_, source="//acme/agents/web-1", time=T0, data=data))
        sealed = seal(
            body, seal_type=SealType.REPORT, audience=self.installation, now=utc_now(), signer=self._agent_key
        )
        return sealed, body

    async def counted(self, data: Report) -> int:
        """See `Harness`."""
        assert data.watches.ref is not None
        answers = await self.state.answers(data.watches.repository.key, data.watches.ref.full, T0)
        return sum(answer.commit == data.commit for answer in answers)

    async def restart(self) -> None:
        """See `Harness`."""
        await self.stop()
        await self.start()

    async def back_up(self) -> None:
        """See `Harness`; it goes on running."""
        kept = self._folder / "kept.db"
        kept.unlink(missing_ok=True)
        await asyncio.to_thread(back_up, self._folder / "journal.db", kept, lambda _: None)

    async def restore(self) -> None:
        """See `Harness`."""
        await self._replace(self._folder / "kept.db")

    async def empty(self) -> None:
        """See `Harness`."""
        await self._replace(None)

    async def _replace(self, kept: Path | None) -> None:
        """Put another journal in place of the one there is, or none."""
        await self.stop()
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (self._folder / name).unlink(missing_ok=True)
        if kept is not None:
            await asyncio.to_thread(shutil.copyfile, kept, self._folder / "journal.db")
        await self.start()

    async def expire(self) -> None:
        """See `Harness`."""
        await self.journal.database.write(lambda c: c.execute("DELETE FROM events").fetchall(), within_s=5)

    def cut(self, *cuts: Cut) -> None:
        """See `Harness`."""
        self._network.break_all()
        self._network.cuts.extend(cuts)

    def lead_to_itself(self) -> None:
        """Take away what is between the network and the gateway."""
        self._network.target = self.port
        self._network.break_all()

    def passed(self) -> bytes:
        """See `Harness`."""
        return bytes(self._network.passed)


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
