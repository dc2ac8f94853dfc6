"""What agents publish, heard by a gateway: in a queue of its own that comes and goes with its connection (R22).

The queue is exclusive, so that nothing is left behind by a gateway that is gone; what it missed comes again with the
agents' full states. It is of a policy's length, and given out a few at a time. A message counts as an agent's only
if the broker vouches for the user, and the key is that user's own.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from bellpull.contract.message import MAX_BYTES
from bellpull.contract.routing import HEARTBEATS, REPORTS, SEAL, gateway_queue, report_key
from bellpull.contract.text import Name
from bellpull.runtime.rabbitmq.connect import FAILURES, BrokerError, connect
from bellpull.runtime.rabbitmq.consume import messages
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["Said", "hearing"]

_AT_ONCE: Final = 64
_ALL: Final = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of an agent's.

    Attributes:
        agent: as whom the broker let it in; none if it says another name, or none, than it was let in by.
        seal: over the body; empty if there was none.
        body: as it came.
    """

    agent: Name | None
    seal: str
    body: bytes


@asynccontextmanager
async def hearing(settings: RabbitMQSettings, folder: Path, name: str) -> AsyncIterator[AsyncIterator[Said]]:
    """Connect, and hear what agents say from now on; what was yielded counts as taken when the next is asked for.

    Raises:
        BrokerError: it did not come about; iterating raises it when it is over.
    """
    async with connect(settings, folder, name) as connection, aclosing(_heard(connection)) as heard:
        yield heard


async def _heard(connection: AbstractConnection) -> AsyncGenerator[Said, None]:
    try:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            gateway_queue(token_hex(8)), exclusive=True, durable=False, arguments={"x-queue-type": "classic"}
        )
        for exchange in (REPORTS, HEARTBEATS):
            await queue.bind(exchange, _ALL)
    except FAILURES as error:
        raise BrokerError(f"no queue for what agents say: {str(error) or type(error).__name__}") from error
    async with aclosing(messages(channel, queue, at_once=_AT_ONCE)) as incoming:
        async for message in incoming:
            yield _said(message)
            await _acknowledge(message)


async def _acknowledge(message: AbstractIncomingMessage) -> None:
    try:
        await message.ack()
    except FAILURES as error:
        raise BrokerError("the connection was closed") from error


def _said(message: AbstractIncomingMessage) -> Said:
    """Return what is in a message; headers but for the seal are for people."""
    user = Name(message.user_id or "")
    seal = message.headers.get(SEAL)
    return Said(
        agent=user if message.routing_key == report_key(user) else None,
        seal=seal if isinstance(seal, str) else "",
        body=message.body if len(message.body) <= MAX_BYTES else b"",
    )
