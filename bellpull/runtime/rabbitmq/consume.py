"""Messages of a queue, one after the other, each to be acknowledged by whoever takes it.

The library hands each message to a task of its own and forgets what becomes of it, and its iterator gives back what
it has taken when it is closed, on a connection that may be gone. Here they wait in order, no more than the broker is
told to send; when the channel goes, or the broker cancels the consumer as the queue was deleted, the end is told.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from bellpull.contract.message import MAX_BYTES
from bellpull.contract.routing import SEAL
from bellpull.runtime.rabbitmq.connect import FAILURES, BrokerError, uncancelled

__all__ = ["body_of", "consuming", "seal_of"]

_ANSWER_S: Final = 10.0
_LOOK_S: Final = 0.5


@asynccontextmanager
async def consuming(
    channel: AbstractChannel, queue: AbstractQueue, *, at_once: int
) -> AsyncIterator[AsyncIterator[AbstractIncomingMessage]]:
    """Consume `queue` from now on, and yield its messages; at most `at_once` are sent before one is acknowledged.

    Raises:
        BrokerError: it cannot be consumed; iterating raises it when the channel or the queue went.
    """
    waiting: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    cancelled = asyncio.Event()

    async def note_cancelled(_frame: object) -> None:
        cancelled.set()

    try:
        with uncancelled():
            async with asyncio.timeout(_ANSWER_S):
                await channel.set_qos(prefetch_count=at_once)
                underlay = await channel.get_underlay_channel()
                underlay.on_consumer_cancel_callbacks.add(note_cancelled)
                await queue.consume(waiting.put)
    except ChannelNotFoundEntity as error:
        raise BrokerError(f"the queue {queue.name} is not there: run: bellpull broker setup") from error
    except FAILURES as error:
        raise BrokerError(f"{queue.name} cannot be consumed: {str(error) or type(error).__name__}") from error
    async with aclosing(_messages(channel, queue.name, waiting, cancelled)) as messages:
        yield messages


async def _messages(
    channel: AbstractChannel, name: str, waiting: asyncio.Queue[AbstractIncomingMessage], cancelled: asyncio.Event
) -> AsyncGenerator[AbstractIncomingMessage, None]:
    while not channel.is_closed and not cancelled.is_set():
        try:
            async with asyncio.timeout(_LOOK_S):
                message = await waiting.get()
        except TimeoutError:
            continue
        yield message
    raise BrokerError("the connection was closed" if channel.is_closed else f"{name} is gone")


def seal_of(message: AbstractIncomingMessage) -> str:
    """Return the seal of a message, empty if there is none; other headers are for people."""
    seal = message.headers.get(SEAL)
    return seal if isinstance(seal, str) else ""


def body_of(message: AbstractIncomingMessage) -> bytes:
    """Return the body; of one that is larger than any message nothing, as nobody is to look at it."""
    return message.body if len(message.body) <= MAX_BYTES else b""
