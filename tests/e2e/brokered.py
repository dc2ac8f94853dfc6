"""Gateways as a user starts them, with RabbitMQ: their folders, and what an agent's user finds in its queue."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from bellpull.contract.event import RefUpdated, Tick
from bellpull.contract.message import Data, Message, decode, encode
from bellpull.contract.report import Heartbeat
from bellpull.contract.routing import HEARTBEATS, REPORTS, SEAL, agent_queue, report_key
from bellpull.contract.seal import PinnedKey, SealType, seal, unseal
from bellpull.contract.text import MessageId, Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.jose import Ed25519Signer, dump_private, generate, public_jwk
from bellpull.runtime.rabbitmq.consume import consuming
from tests.gateway.github import payload
from tests.gateway.process import TOKEN, Answer, Folder, Gateway, ask, deliver
from tests.gateway.topologies import GATEWAY, Installed

__all__ = ["RIGHTS", "WEB", "Brokered", "Heard", "brokered", "heard", "problems", "push", "report", "served"]

WEB: Final = Name("web-1")
RIGHTS: Final = {WEB: ["github.com/acme/site"]}
_IDLE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A message in an agent's queue, its seal checked."""

    body: bytes
    message: Message
    user: str | None
    is_persistent: bool

    @property
    def commit(self) -> str | None:
        """What its ref is at now; none if it is about none."""
        return self.message.data.after if isinstance(self.message.data, RefUpdated) else None


class Brokered(Folder):
    """A gateway's folder, with `queue.rabbitmq`, and agent `web-1` enrolled."""

    def __init__(self, path: Path, url: str, *, like: "Brokered | None" = None, more: str = "") -> None:
        path.mkdir(exist_ok=True)
        super().__init__(path)
        queue = f"queue: {{rabbitmq: {{url: '{url}', username: {GATEWAY}, password: {{file: broker-password}}}}}}\n"
        self.write("gateway.yaml", (path / "gateway.yaml").read_text() + queue + more)
        self.write("broker-password", GATEWAY)
        self.agent: Ed25519Signer = like.agent if like else generate()
        if like:
            self.seal = like.seal
            self.write("seal.jwk", dump_private(like.seal))
        self.enroll()

    def enroll(self) -> None:
        record = {
            "agent": WEB,
            "environments": ["production"],
            "repositories": RIGHTS[WEB],
            "token": {"sha256": sha256(TOKEN.encode()).hexdigest()},
            "keys": [public_jwk(self.agent.public)],
        }
        self.write("agents/web-1.yaml", json.dumps(record))

    def bodies(self) -> list[bytes]:
        """Return the events of the journal as they are on disk, read from outside."""
        with closing(sqlite3.connect(self.path / "data" / "journal.db")) as disk:
            return [body for (body,) in disk.execute("SELECT body FROM events ORDER BY seq")]

    def waiting(self) -> int:
        """Return how many events wait for the broker, by the disk."""
        with closing(sqlite3.connect(self.path / "data" / "journal.db")) as disk:
            ((found,),) = disk.execute("SELECT count(*) FROM outgoing")
        return int(found)

    def opened(self, body: bytes, header: object) -> Message:
        """Return what is sealed."""
        assert isinstance(header, str)
        keys = {self.seal.kid: PinnedKey(verifier=self.seal.public)}
        unseal(header, body, seal_type=SealType.EVENT, audience="acme", keys=keys, now=utc_now())
        message = decode(body)
        assert isinstance(message, Message)
        return message


def brokered(path: Path, installation: Installed, *, like: Brokered | None = None, more: str = "") -> Brokered:
    """Return a gateway's folder at an installation's broker."""
    return Brokered(path, installation.broker.url(installation.vhost), like=like, more=more)


@asynccontextmanager
async def served(folder: Folder) -> AsyncIterator[Gateway]:
    """Run the gateway until the context ends; it listens when this yields."""
    running = folder.running()
    gateway = await asyncio.to_thread(running.__enter__)
    try:
        yield gateway
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def push(gateway: Gateway, number: int, *, ref: str = "refs/heads/main") -> Answer:
    """Deliver a push of commit `number`, as a delivery of its own."""
    value = payload(ref=ref, after=f"{number:040x}")
    return deliver(gateway.hooks, value, delivery=f"d{number}")


def problems(gateway: Gateway) -> str:
    """Return what is wrong with a gateway that takes pushes."""
    answer = ask(f"{gateway.console}/readyz")
    assert answer.status == 200
    said = answer.json()
    assert said["state"] == ("degraded" if "problems" in said else "ready")
    return "\n".join(said.get("problems", ()))


def heard(folder: Brokered, installation: Installed) -> list[Heard]:
    """Take what is in the agent's queue but for ticks, in its order, as the agent's own user. Blocks."""
    return asyncio.run(_heard(folder, installation))


async def _heard(folder: Brokered, installation: Installed) -> list[Heard]:
    found: list[Heard] = []
    async with installation.connected(WEB) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(agent_queue(WEB), passive=True)
        left = queue.declaration_result.message_count or 0
        async with consuming(channel, queue, at_once=100) as incoming:
            with suppress(TimeoutError):  # ticks that are counted may be too old to be delivered
                while left:
                    async with asyncio.timeout(_IDLE_S):
                        each = await anext(incoming)
                    await each.ack()
                    found.append(_opened(folder, each))
                    left -= 1
    return [each for each in found if not isinstance(each.message.data, Tick)]


def _opened(folder: Brokered, each: AbstractIncomingMessage) -> Heard:
    persistent = each.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    return Heard(each.body, folder.opened(each.body, each.headers[SEAL]), each.user_id, persistent)


def report(folder: Brokered, installation: Installed, data: Data) -> None:
    """Publish what an agent says, as its own user. Blocks."""
    asyncio.run(_report(folder, installation, data))


async def _report(folder: Brokered, installation: Installed, data: Data) -> None:
    body = encode(Message(id=MessageId("m1"), source="//acme/agents/web-1", time=utc_now(), data=data))
    header = seal(body, seal_type=SealType.REPORT, audience="acme", now=utc_now(), signer=folder.agent)
    async with installation.connected(WEB) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(HEARTBEATS if isinstance(data, Heartbeat) else REPORTS, ensure=False)
        await exchange.publish(aio_pika.Message(body, user_id=WEB, headers={SEAL: header}), report_key(WEB))
