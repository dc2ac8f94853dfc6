"""RabbitMQ as the transport suite drives it: a gateway that sends and hears there, an agent with a network between.

Only the agent's connections break: the gateway's own are broken where the forwarder is tried.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import quote

import pytest

from agent.adapters import rabbitmq as adapter
from agent.adapters.rabbitmq import RabbitMQQueue
from bellpull.contract.message import Message
from bellpull.contract.report import Report
from bellpull.contract.routing import agent_queue
from bellpull.runtime.clock import utc_now
from bellpull.runtime.config import SecretRef
from bellpull.runtime.jose import Ed25519Signer
from bellpull.runtime.rabbitmq import connect as connecting
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.adapters.outgoing import SqliteOutgoing
from gateway.app.broker import over_broker
from tests.gateway.examples import GITHUB, WEB
from tests.gateway.topologies import GATEWAY, Installed
from tests.parts.breaking import Breaking
from tests.suites.gateway import GatewayParts
from tests.suites.transport import until

__all__ = ["Brokered", "brokered"]

_PATIENCE_S: Final = 30.0
_HEARTBEAT_S: Final = 1
"""In place of 20 s: a connection that stalls is left after six."""
_CONNECT_S: Final = 3.0


class Brokered(GatewayParts):
    """One gateway and one agent's end, with RabbitMQ between them; made by `brokered`."""

    is_exact = False
    tells = False
    ends = b"\xce"

    def __init__(self, folder: Path, installation: Installed, network: Breaking) -> None:
        super().__init__(folder, network)
        self._installed = installation
        self._deliveries = count(1)
        self.queue = RabbitMQQueue(self._settings(WEB, network.port), folder, WEB)
        self.outgoing: SqliteOutgoing

    def _settings(self, user: str, port: int) -> RabbitMQSettings:
        """Return how to log in; in the tests' installations a user's password is its name."""
        (self._folder / user).write_text(user)
        url = f"amqp://127.0.0.1:{port}/{self._installed.vhost}"
        return RabbitMQSettings(url=url, username=user, password=SecretRef(file=Path(user)))

    async def start(self) -> None:
        """See `GatewayParts`; returns once it sends and hears."""
        parts = await self.open(forwards=True)
        self.outgoing = SqliteOutgoing(self.journal.database)
        settings = self._settings(GATEWAY, self._installed.broker.port)
        running = over_broker(settings, self._folder, parts, self.outgoing, deadline=timedelta())
        problems = await self._gateway.enter_async_context(running)
        await until(lambda: not problems(), lambda: f"{problems()}")

    async def stop(self) -> None:
        """See `GatewayParts`; what waits is left to the next start."""
        await self._gateway.aclose()

    async def again(self, *messages: Message) -> None:
        """See `Harness`: the same events, by deliveries of their own, all in the queue on return."""
        for message in messages:
            delivery = f"again-{next(self._deliveries)}"
            await self.journal.accept(
                [message], source=GITHUB, delivery=delivery, body_digest="0" * 64, now=utc_now()
            )
        await self.sent()

    async def sent(self) -> None:
        """Wait until the broker has all that was accepted."""
        end = monotonic() + _PATIENCE_S
        while await self.outgoing.left():
            assert monotonic() < end, "not sent"
            await asyncio.sleep(0.005)

    async def counted(self, data: Report) -> int:
        """See `Harness`; the broker has it before the gateway."""
        end = monotonic() + _PATIENCE_S
        while not (found := await super().counted(data)) and monotonic() < end:  # noqa: ASYNC110 - the disk is asked
            await asyncio.sleep(0.005)
        return found

    async def expire(self) -> None:
        """See `Harness`: neither journal nor queue; the latter loses something only of an agent that is away."""
        await super().expire()
        await self.journal.sign(utc_now())
        self.leave_alone()
        where = f"queues/{quote(self._installed.vhost, safe='')}/{agent_queue(WEB)}/contents"
        await asyncio.to_thread(self._installed.broker.ask, "DELETE", where)
        await self.come_back()

    def leave_alone(self) -> None:
        """Keep the agent away, until `come_back`."""
        self._network.hold()
        self._network.break_all()

    async def come_back(self) -> None:
        """Let the agent through again; it is not there yet on return."""
        self._network.release()

    @property
    def signer(self) -> Ed25519Signer:
        """What the gateway seals with."""
        return self._key


@asynccontextmanager
async def brokered(folder: Path, installation: Installed) -> AsyncIterator[Brokered]:
    """Yield a gateway that runs, and an agent's end that leads to it.

    Args:
        folder: for everything on disk.
        installation: in a real broker, with agent `web-1`.
    """
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(connecting, "_HEARTBEAT_S", _HEARTBEAT_S)
        patch.setattr(adapter, "connect", partial(connecting.connect, timeout_s=_CONNECT_S))
        network = await stack.enter_async_context(Breaking(installation.broker.port))
        made = Brokered(folder, installation, network)
        stack.push_async_callback(made.stop)
        await made.start()
        yield made
