"""What agents and other gateways publish, heard in a queue that comes and goes with its connection (R22).

The queue is exclusive, so that nothing is left behind by a gateway that is gone; what it missed comes again with the
agents' full states. It is of a policy's length, and given out a few at a time. A message counts as an agent's only
if the broker vouches for the user, and the key is that user's own. What this gateway published itself is left out.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from bellpull.contract.routing import (
    EVENTS,
    HEARTBEATS,
    REPORTS,
    binding_key,
    gateway_queue,
    report_key,
)
from bellpull.contract.text import Name
from bellpull.runtime.rabbitmq.connect import FAILURES, BrokerError, connect, uncancelled
from bellpull.runtime.rabbitmq.consume import body_of, consuming, seal_of
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["Said", "Told", "hearing"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A message of another gateway's, by its own account: `seal` over `body`, as they came."""

    seal: str
    body: bytes


@asynccontextmanager
async def hearing(settings: RabbitMQSettings, folder: Path, name: str) -> AsyncIterator[AsyncIterator[Said | Told]]:
    """Connect, and hear what is said from now on; what was yielded counts as taken when the next is asked for.

    Args:
        settings: where.
        folder: of the configuration file.
        name: of this gateway; what is published under it is not heard.

    Raises:
        BrokerError: it did not come about; iterating raises it when it is over.
    """
    async with connect(settings, folder, name) as connection:
        channel, queue = await _bound(connection)
        async with (
            consuming(channel, queue, at_once=_AT_ONCE) as messages,
            aclosing(_heard(messages, name)) as heard,
        ):
            yield heard


async def _bound(connection: AbstractConnection) -> tuple[AbstractChannel, AbstractQueue]:
    """Return a queue that has everything from now on."""
    try:
        with uncancelled():
            channel = await connection.channel()
            queue = await channel.declare_queue(
                gateway_queue(token_hex(8)), exclusive=True, durable=False, arguments={"x-queue-type": "classic"}
            )
            for exchange, key in ((REPORTS, _ALL), (HEARTBEATS, _ALL), (EVENTS, binding_key())):
                await queue.bind(exchange, key)
    except FAILURES as error:
        raise BrokerError(f"no queue for what is said: {str(error) or type(error).__name__}") from error
    return channel, queue


async def _heard(messages: AsyncIterator[AbstractIncomingMessage], name: str) -> AsyncGenerator[Said | Told, None]:
    async for message in messages:
        if message.exchange != EVENTS:
            yield _said(message)
        elif message.app_id != name:
            yield Told(seal=seal_of(message), body=body_of(message))
        await _acknowledge(message)


async def _acknowledge(message: AbstractIncomingMessage) -> None:
    try:
        with uncancelled():
            await message.ack()
    except FAILURES as error:
        raise BrokerError("the connection was closed") from error


def _said(message: AbstractIncomingMessage) -> Said:
    """Return what is in a message; headers but for the seal are for people."""
    user = Name(message.user_id or "")
    agent = user if message.routing_key == report_key(user) else None
    return Said(agent=agent, seal=seal_of(message), body=body_of(message))
