"""Publishing to RabbitMQ, with the broker's word on each message: the only place where a publish is made.

Traps of the client library that are met here, each with a test of its own:

- A message that no queue takes is confirmed like any other; only what came back before the confirm tells. Without
  `on_return_raises` the library answers it like a success.
- What comes back is matched by the message's id, so ids are never used twice on a channel (`Attempt.number`).
- Messages are not persistent unless that is said.
- One message that the broker cannot take closes the channel, with all that is in flight on it; as more is under way
  to the channel that is no more, the broker then closes the connection, too. What was not written yet ends otherwise
  than what was: only of the latter one is to blame.
- A connection that goes may cancel what waits on it, which is not the cancellation of who waits, or end it with an
  exception of no kind.
- The broker does not refuse what comes while it is short of memory or disk, it just reads no more.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPChannelError,
    DeliveryError,
    PublishError,
)

from bellpull.contract.message import MEDIA_TYPE
from bellpull.contract.routing import SEAL
from bellpull.runtime.rabbitmq.connect import FAILURES, BrokerError, connect, uncancelled
from bellpull.runtime.rabbitmq.outcome import Outcome
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["Parcel", "Publisher", "open_publisher", "publishing"]

_ANSWER_S: Final = 10.0
_ALSO: Final = "BCC"
"""The header with further routing keys, which RabbitMQ takes off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is published.

    Attributes:
        exchange: where it is published; it is there.
        message_id: of no other that is in flight.
        key: the routing key.
        also: further ones: a queue that several of them lead to gets it once, and who gets it does not see them.
        type: the CloudEvents type.
        body: the encoded message.
        seal: over the body.
        headers: copies of the message's attributes, for people.
        expires: when a queue may forget it; none is as the queue says.
        persistent: whether a broker that starts again has it still.
    """

    exchange: str
    message_id: str
    key: str
    type: str
    body: bytes
    seal: str
    headers: Mapping[str, str] = field(default_factory=dict)
    expires: timedelta | None = None
    persistent: bool = True
    also: tuple[str, ...] = ()


@asynccontextmanager
async def publishing(
    settings: RabbitMQSettings, folder: Path, name: str, *, answer_s: float = _ANSWER_S
) -> AsyncIterator["Publisher"]:
    """Connect, open a channel, and close both at the end.

    Raises:
        BrokerError: it did not come about.
    """
    async with (
        connect(settings, folder, name) as connection,
        open_publisher(connection, settings.username, name, answer_s=answer_s) as publisher,
    ):
        yield publisher


@asynccontextmanager
async def open_publisher(
    connection: AbstractConnection, user: str, name: str, *, answer_s: float = _ANSWER_S
) -> AsyncIterator["Publisher"]:
    """Open a channel; it goes with its connection.

    Args:
        connection: that stands.
        user: whose it is; every message bears it, and the broker checks that.
        name: of this program, by which it knows its own messages.
        answer_s: how long a confirm may take.

    Raises:
        BrokerError: there is no channel to be had.
    """
    try:
        with uncancelled():
            async with asyncio.timeout(answer_s):
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    except FAILURES as error:
        raise BrokerError(f"no channel: {str(error) or type(error).__name__}") from error
    yield Publisher(connection, channel, _From(user, name), answer_s)


class _From(NamedTuple):
    """What every message says of who sent it."""

    user: str
    name: str


class Publisher:
    """A channel to publish on; made by `open_publisher`."""

    def __init__(
        self,
        connection: AbstractConnection,
        channel: AbstractChannel,
        sender: _From,
        answer_s: float,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._sender = sender
        self._answer_s = answer_s

    @property
    def is_open(self) -> bool:
        """Whether more can be sent."""
        return not self._channel.is_closed and not self._connection.is_closed

    async def hang_up(self) -> None:
        """Let the connection go; whatever is in flight ends."""
        with suppress(*FAILURES), uncancelled():
            await self._connection.close()

    async def is_blocked(self) -> bool:
        """Whether the broker said that it takes nothing for now."""
        transport = self._connection.transport
        if not self.is_open or transport is None:
            return False
        try:
            async with asyncio.timeout(0):
                await transport.connection.ready()
        except TimeoutError:
            return True
        except FAILURES:
            return False
        return False

    async def send(self, parcel: Parcel) -> Outcome:
        """Publish, and return what the broker said; never raises but when it is cancelled."""
        try:
            exchange = await self._channel.get_exchange(parcel.exchange, ensure=False)
            await exchange.publish(self._message(parcel), parcel.key, mandatory=True, timeout=self._answer_s)
        except PublishError:
            return Outcome.RETURNED
        except DeliveryError:
            return Outcome.NACKED
        except TimeoutError:
            return Outcome.TIMED_OUT
        except AMQPChannelError:
            return Outcome.CLOSED
        except Exception as error:  # the library ends what waits with an `Exception`, bare, where it has no reason
            if isinstance(error, FAILURES) or type(error) is Exception:
                return Outcome.LOST
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Outcome.LOST
        return Outcome.CONFIRMED

    def _message(self, parcel: Parcel) -> Message:
        return Message(
            parcel.body,
            message_id=parcel.message_id,
            content_type=MEDIA_TYPE,
            delivery_mode=DeliveryMode.PERSISTENT if parcel.persistent else DeliveryMode.NOT_PERSISTENT,
            type=parcel.type,
            user_id=self._sender.user,
            app_id=self._sender.name,
            expiration=parcel.expires,
            headers={SEAL: parcel.seal, **parcel.headers, **({_ALSO: list(parcel.also)} if parcel.also else {})},
        )
