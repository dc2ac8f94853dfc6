"""What agents and other gateways publish, heard in queues that come and go with their connections (R22).

The queues are exclusive, so that nothing is left behind by a gateway that is gone; what it missed comes again with
the agents' full states. They are of a policy's length, and given out a few at a time. Agents and gateways are heard
in queues and on connections of their own: whatever an agent sends, what gateways say goes on. A message counts as an
agent's only if the broker vouches for the user, and the key is that user's own. What this gateway published itself
is left out.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
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

__all__ = ["AgentsHeard", "Said", "Told", "hearing_agents", "hearing_gateways"]

_AT_ONCE: Final = 64
_ALL: Final = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of an agent's.

    Attributes:
        agent: as whom the broker let it in; none if it says another name, or none, than it was let in by.
        key: under which it came: the broker lets an agent use its own only.
        seal: over the body; empty if there was none.
        body: as it came.
    """

    agent: Name | None
    key: str
    seal: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A message of another gateway's, by its own account: `seal` over `body`, as they came."""

    seal: str
    body: bytes


class AgentsHeard:
    """What agents say, from now on; what was yielded counts as taken when the next is asked for."""

    def __init__(self, queue: AbstractQueue, said: AsyncIterator[Said]) -> None:
        self._queue = queue
        self._said = said
        self._bound: frozenset[str] = frozenset({_ALL})
        self._changing = asyncio.Lock()

    def __aiter__(self) -> AsyncIterator[Said]:
        """Iterating raises `BrokerError` when it is over."""
        return self._said

    async def hear(self, keys: Collection[str] | None) -> None:
        """Hear what comes under these keys and no other from now on; all, where none are given.

        Raises:
            BrokerError: the connection went.
        """
        wanted = frozenset({_ALL} if keys is None else keys)
        async with self._changing:
            try:
                with uncancelled():
                    await self._bind(wanted - self._bound, self._bound - wanted)
            except FAILURES as error:
                raise BrokerError("the connection was closed") from error
            self._bound = wanted

    async def _bind(self, more: Collection[str], less: Collection[str]) -> None:
        for exchange in (REPORTS, HEARTBEATS):
            for key in more:
                await self._queue.bind(exchange, key)
            for key in less:
                await self._queue.unbind(exchange, key)


@asynccontextmanager
async def hearing_agents(settings: RabbitMQSettings, folder: Path, name: str) -> AsyncIterator[AgentsHeard]:
    """Connect, and hear what agents say from now on.

    Args:
        settings: where.
        folder: of the configuration file.
        name: of this gateway, for who looks at the broker.

    Raises:
        BrokerError: it did not come about; iterating raises it when it is over.
    """
    async with connect(settings, folder, name) as connection:
        channel, queue = await _bound(connection, (REPORTS, _ALL), (HEARTBEATS, _ALL))
        async with (
            consuming(channel, queue, at_once=_AT_ONCE) as messages,
            aclosing(_said(messages)) as said,
        ):
            yield AgentsHeard(queue, said)


@asynccontextmanager
async def hearing_gateways(settings: RabbitMQSettings, folder: Path, name: str) -> AsyncIterator[AsyncIterator[Told]]:
    """Connect, and hear what other gateways say from now on; taken when the next is asked for.

    Args:
        settings: where.
        folder: of the configuration file.
        name: of this gateway; what is published under it is not heard.

    Raises:
        BrokerError: it did not come about; iterating raises it when it is over.
    """
    async with connect(settings, folder, name) as connection:
        channel, queue = await _bound(connection, (EVENTS, binding_key()))
        async with (
            consuming(channel, queue, at_once=_AT_ONCE) as messages,
            aclosing(_told(messages, name)) as told,
        ):
            yield told


async def _bound(connection: AbstractConnection, *bindings: tuple[str, str]) -> tuple[AbstractChannel, AbstractQueue]:
    """Return a queue that has, from now on, what is published under such keys in such exchanges."""
    try:
        with uncancelled():
            channel = await connection.channel()
            queue = await channel.declare_queue(
                gateway_queue(token_hex(8)), exclusive=True, durable=False, arguments={"x-queue-type": "classic"}
            )
            for exchange, key in bindings:
                await queue.bind(exchange, key)
    except FAILURES as error:
        raise BrokerError(f"no queue for what is said: {str(error) or type(error).__name__}") from error
    return channel, queue


async def _said(messages: AsyncIterator[AbstractIncomingMessage]) -> AsyncGenerator[Said, None]:
    """Yield what is in the messages; headers but for the seal are for people."""
    async for message in messages:
        key, user = message.routing_key or "", Name(message.user_id or "")
        agent = user if key == report_key(user) else None
        yield Said(agent=agent, key=key, seal=seal_of(message), body=body_of(message))
        await _acknowledge(message)


async def _told(messages: AsyncIterator[AbstractIncomingMessage], name: str) -> AsyncGenerator[Told, None]:
    async for message in messages:
        if message.app_id != name:
            yield Told(seal=seal_of(message), body=body_of(message))
        await _acknowledge(message)


async def _acknowledge(message: AbstractIncomingMessage) -> None:
    try:
        with uncancelled():
            await message.ack()
    except FAILURES as error:
        raise BrokerError("the connection was closed") from error
