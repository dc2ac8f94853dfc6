"""The queue in RabbitMQ: the agent's own, which it may read, and two exchanges to which it may say what it did.

One `listen` is one connection, on which reports are published, too. It makes nothing there: the queue is of
`bellpull broker setup` or `bellpull enroll`. The broker hands out a few messages at a time, and keeps each until it
is settled; what was not is handed out again, to whoever comes next. A place in this stream is a number of the
connection and of nothing else, so that nobody can go on from it: what waits in the queue is what comes.

A message says nothing but by its seal and its body: headers are for people.
"""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
from aio_pika.abc import AbstractIncomingMessage

from agent.core.hear import Ack
from agent.ports.queue import AccessRefusedError, Connected, QueueError
from bellpull.contract.cursor import Cursor
from bellpull.contract.message import TYPES
from bellpull.contract.report import Heartbeat
from bellpull.contract.routing import HEARTBEATS, REPORTS, agent_queue, report_key
from bellpull.contract.standing import Standing
from bellpull.contract.stream import Frame, MessageFrame, Receipt
from bellpull.contract.text import Name
from bellpull.runtime.rabbitmq.connect import FAILURES, BrokerError, LoginRefusedError, connect, uncancelled
from bellpull.runtime.rabbitmq.consume import body_of, consuming, seal_of
from bellpull.runtime.rabbitmq.outcome import Outcome
from bellpull.runtime.rabbitmq.publish import Parcel, Publisher, open_publisher
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["RabbitMQQueue"]

_AT_ONCE: Final = 64
_SILENCE: Final = timedelta(seconds=60)
"""Three of a gateway's ticks (R31)."""


class RabbitMQQueue:
    """Implements `agent.ports.queue.Queue` over RabbitMQ.

    Args:
        settings: where, and as whom.
        folder: of the configuration file.
        agent: whose queue it is.
        standing: asks the gateway, where it can be reached, too.
    """

    silence = _SILENCE

    def __init__(
        self,
        settings: RabbitMQSettings,
        folder: Path,
        agent: Name,
        standing: Callable[[], Awaitable[Standing | None]] | None = None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._agent = agent
        self._standing = standing
        self._name = f"bellpull agent {agent}"
        self._unsettled: dict[Cursor, AbstractIncomingMessage] = {}
        self._publisher: Publisher | None = None
        self._sent = 0

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame | Connected, None]:
        """See `Queue.listen`."""
        del cursor  # of another connection
        epoch, number = secrets.token_hex(8), 0
        async with AsyncExitStack() as stack:
            try:
                messages = await self._open(stack, _AT_ONCE)
                yield Connected()
                async for message in messages:
                    number += 1
                    place = Cursor(epoch=epoch, seq=number)
                    self._unsettled[place] = message
                    yield MessageFrame(cursor=place, seal=seal_of(message), body=body_of(message))
            except BrokerError as error:
                raise _translated(error) from error
            finally:
                self._publisher = None
                self._unsettled.clear()

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        """See `Queue.settle`."""
        message = self._unsettled.pop(frame.cursor, None)
        if message is None or ack is Ack.LEAVE:
            return
        try:
            with uncancelled():
                if ack is Ack.DEAD_LETTER:
                    await message.reject(requeue=False)
                else:
                    await message.ack()
        except FAILURES as error:
            raise QueueError("the connection to the broker was closed") from error

    async def send(self, seal: str, body: bytes) -> Receipt:
        """See `Queue.send`."""
        try:
            async with self._publishing() as publisher:
                outcome = await publisher.send(self._parcel(seal, body))
        except BrokerError as error:
            raise _translated(error) from error
        if outcome is Outcome.RETURNED:
            raise QueueError("no gateway hears the broker now")
        if outcome is not Outcome.CONFIRMED:
            raise QueueError(f"the broker did not take it: {outcome.value}")
        return Receipt()

    async def standing(self) -> Standing | None:
        """See `Queue.standing`: the broker does not know."""
        return None if self._standing is None else await self._standing()

    async def look(self) -> None:
        """See that the queue is there and may be read; takes nothing from it, whoever listens.

        Raises:
            QueueError: it is not.
        """
        async with AsyncExitStack() as stack:
            try:
                await self._open(stack, 1)
            except BrokerError as error:
                raise _translated(error) from error
            finally:
                self._publisher = None

    async def _open(self, stack: AsyncExitStack, at_once: int) -> AsyncIterator[AbstractIncomingMessage]:
        """Connect, and return what comes.

        Raises:
            BrokerError: it cannot be had; iterating raises it when it is over.
        """
        connection = await stack.enter_async_context(connect(self._settings, self._folder, self._name))
        publisher = await stack.enter_async_context(open_publisher(connection, self._settings.username, self._name))
        try:
            with uncancelled():
                channel = await connection.channel()
            queue = await channel.get_queue(agent_queue(self._agent), ensure=False)
        except FAILURES as error:
            raise BrokerError(f"no channel: {str(error) or type(error).__name__}") from error
        messages = await stack.enter_async_context(consuming(channel, queue, at_once=at_once))
        self._publisher = publisher
        return messages

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[Publisher]:
        """Yield a way to publish: that of the connection there is, or else one for this once, as on the way out."""
        if self._publisher is not None and self._publisher.is_open:
            yield self._publisher
            return
        async with (
            connect(self._settings, self._folder, self._name) as connection,
            open_publisher(connection, self._settings.username, self._name) as publisher,
        ):
            yield publisher

    def _parcel(self, seal: str, body: bytes) -> Parcel:
        """Return a report or heartbeat as the broker takes it; of heartbeats the next one is as good (R23)."""
        self._sent += 1
        envelope = orjson.loads(body)
        beats = TYPES.get(envelope["type"]) is Heartbeat
        return Parcel(
            exchange=HEARTBEATS if beats else REPORTS,
            message_id=f"{envelope['id']}.{self._sent}",
            key=report_key(self._agent),
            type=envelope["type"],
            body=body,
            seal=seal,
            persistent=not beats,
        )


def _translated(error: BrokerError) -> QueueError:
    kind = AccessRefusedError if isinstance(error, LoginRefusedError) else QueueError
    return kind(str(error))
