"""The agent's queue in a real RabbitMQ: what comes, what becomes of it, and what is said back (R6, R19, R20, R26)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from pathlib import Path

import aio_pika
import pytest
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue

from agent.adapters.rabbitmq import RabbitMQQueue
from agent.core.hear import Ack
from agent.ports.queue import AccessRefusedError, Connected, QueueError
from bellpull.contract.ids import agent_message_id
from bellpull.contract.message import Message, encode
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.routing import (
    DEAD_LETTERS,
    EVENTS,
    HEARTBEATS,
    REPORTS,
    SEAL,
    agent_key,
    agent_queue,
    report_key,
)
from bellpull.contract.stream import Frame, MessageFrame
from bellpull.contract.text import Name
from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from tests.gateway.examples import T0, WEB, heartbeat, report
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.amqp import UNREADABLE, raw
from tests.parts.rabbitmq import USER, Broker

SAID = {Report: (REPORTS, DeliveryMode.PERSISTENT), Heartbeat: (HEARTBEATS, DeliveryMode.NOT_PERSISTENT)}


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "agents-queue", {WEB: ["github.com/acme/site"]}, GATEWAY) as made:
        yield made


def queue_of(installation: Installed, folder: Path, *, agent: Name = WEB, password: str = WEB) -> RabbitMQQueue:
    (folder / "password").write_text(password)
    url = installation.broker.url(installation.vhost)
    settings = RabbitMQSettings(url=url, username=WEB, password=SecretRef(file=Path("password")))
    return RabbitMQQueue(settings, folder, agent)


@pytest.fixture
def queue(installation: Installed, tmp_path: Path) -> RabbitMQQueue:
    return queue_of(installation, tmp_path)


async def publish(installation: Installed, *bodies: bytes, seal: str | None = "seal") -> None:
    async with installation.connected(GATEWAY) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(EVENTS, ensure=False)
        for body in bodies:
            message = aio_pika.Message(body, user_id=GATEWAY, headers={} if seal is None else {SEAL: seal})
            await exchange.publish(message, agent_key(WEB))


@asynccontextmanager
async def opened(queue: RabbitMQQueue) -> AsyncIterator[AsyncIterator[Frame | Connected]]:
    """Listen, and yield what comes behind the first frame."""
    async with asyncio.timeout(60), aclosing(queue.listen(None)) as frames:
        assert await anext(frames) == Connected()
        yield frames


async def next_message(frames: AsyncIterator[Frame | Connected]) -> MessageFrame:
    frame = await anext(frames)
    assert isinstance(frame, MessageFrame)
    return frame


async def waiting(installation: Installed, name: str) -> int:
    """Return how many messages are in a queue, of which none is handed out."""
    async with installation.connected(USER) as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(name, passive=True)
        return found.declaration_result.message_count or 0


async def is_soon(installation: Installed, name: str, number: int) -> None:
    async with asyncio.timeout(30):
        while await waiting(installation, name) != number:  # noqa: ASYNC110 - the broker is asked
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("ack", "left", "dead"),
    [
        pytest.param(Ack.ACK, 0, 0, id="taken"),
        pytest.param(Ack.DEAD_LETTER, 0, 1, id="refused"),
        pytest.param(Ack.LEAVE, 1, 0, id="left"),
    ],
)
async def test_what_becomes_of_a_message(
    installation: Installed, queue: RabbitMQQueue, ack: Ack, left: int, dead: int
) -> None:
    """R20: taken it is gone, refused it is a dead letter, and left it comes again."""
    await publish(installation, b"one")
    async with opened(queue) as frames:
        frame = await next_message(frames)
        assert (frame.seal, frame.body) == ("seal", b"one")
        await queue.settle(frame, ack)
        await is_soon(installation, DEAD_LETTERS, dead)
    await is_soon(installation, agent_queue(WEB), left)


async def test_places_rise_within_a_connection(installation: Installed, queue: RabbitMQQueue) -> None:
    await publish(installation, b"one", b"two")
    async with opened(queue) as frames:
        first, second = await next_message(frames), await next_message(frames)
    async with opened(queue) as frames:
        again = await next_message(frames)
    assert (first.cursor.epoch, first.cursor.seq) < (second.cursor.epoch, second.cursor.seq)
    assert again.cursor.epoch != first.cursor.epoch
    assert again.body == b"one"


async def test_a_message_without_a_seal_or_too_large_has_none(installation: Installed, queue: RabbitMQQueue) -> None:
    """So that it is refused like any other; nobody looks at it."""
    await publish(installation, b"one", seal=None)
    await publish(installation, b"x" * (4 * 1024 * 1024 + 1))
    async with opened(queue) as frames:
        assert (await next_message(frames)).seal == ""
        assert (await next_message(frames)).body == b""


@pytest.mark.parametrize("properties", UNREADABLE.values(), ids=UNREADABLE)
async def test_properties_that_cannot_be_read_cost_one_message(
    installation: Installed, queue: RabbitMQQueue, properties: tuple[int, bytes]
) -> None:
    """It has no seal, so that it is a dead letter; what comes behind it is heard on the same connection."""
    await asyncio.to_thread(publish_raw, installation, *properties)
    await publish(installation, b"good")
    async with opened(queue) as frames:
        bad, good = await next_message(frames), await next_message(frames)
        assert (bad.seal, good.seal, good.body) == ("", "seal", b"good")
        await queue.settle(bad, Ack.DEAD_LETTER)
        await is_soon(installation, DEAD_LETTERS, 1)


def publish_raw(installation: Installed, flags: int, properties: bytes) -> None:
    with raw(installation.broker.port, installation.vhost, GATEWAY, GATEWAY) as channel:
        channel.publish(EVENTS, agent_key(WEB), b"{}", flags, properties)


async def test_one_at_a_time_listens(installation: Installed, queue: RabbitMQQueue, tmp_path: Path) -> None:
    """R19: a standby with the same credential takes nothing away, and goes on where the other one ended."""
    (tmp_path / "standby").mkdir()
    standby = queue_of(installation, tmp_path / "standby")
    async with asyncio.TaskGroup() as tasks, opened(queue) as frames:
        waits = tasks.create_task(_first(standby))
        await publish(installation, b"one", b"two")
        frame = await next_message(frames)
        assert (frame.body, (await next_message(frames)).body) == (b"one", b"two")
        await queue.settle(frame, Ack.ACK)
        assert not waits.done()
    assert waits.result() == b"two"


async def _first(queue: RabbitMQQueue) -> bytes:
    async with opened(queue) as frames:
        return (await next_message(frames)).body


@pytest.mark.parametrize("said", [report(1), heartbeat(1)], ids=["report", "heartbeat"])
@pytest.mark.parametrize("listens", [True, False], ids=["while it listens", "on the way out"])
async def test_what_the_agent_says(
    installation: Installed,
    queue: RabbitMQQueue,
    said: Report | Heartbeat,
    listens: bool,
) -> None:
    """R23, R26: under the agent's own key and user, byte by byte; a heartbeat may be lost."""
    body = encode(Message(id=agent_message_id(WEB, 1, 1), source="//acme/agents/web-1", time=T0, data=said))
    exchange, mode = SAID[type(said)]
    async with installation.connected(GATEWAY) as connection:
        ears = await _bound(connection, exchange)
        async with opened(queue) if listens else nullcontext():
            await queue.send("sealed", body)
        message = await _got(ears)
    assert (message.body, message.headers[SEAL]) == (body, "sealed")
    assert (message.routing_key, message.user_id, message.delivery_mode) == (report_key(WEB), WEB, mode)


async def _bound(connection: AbstractConnection, exchange: str) -> AbstractQueue:
    channel = await connection.channel()
    found = await channel.declare_queue("bellpull.gw.test", exclusive=True)
    await found.bind(exchange, "#")
    return found


async def _got(queue: AbstractQueue) -> AbstractIncomingMessage:
    async with asyncio.timeout(30):
        while (message := await queue.get(no_ack=True, fail=False)) is None:  # noqa: ASYNC110 - the broker is asked
            await asyncio.sleep(0.05)
    return message


async def test_a_report_that_no_gateway_hears_is_not_taken_for_sent(queue: RabbitMQQueue) -> None:
    """The broker confirms what goes nowhere; the agent must keep it."""
    body = encode(Message(id=agent_message_id(WEB, 1, 1), source="//acme/agents/web-1", time=T0, data=report(1)))
    async with opened(queue):
        with pytest.raises(QueueError, match="no gateway hears"):
            await queue.send("sealed", body)


async def test_a_connection_that_is_closed_is_an_error(installation: Installed, queue: RabbitMQQueue) -> None:
    with pytest.raises(QueueError, match="closed"):
        await _heard_while(queue, installation.broker.close_connections, installation.vhost)


async def test_a_queue_that_is_removed_is_an_error(installation: Installed, queue: RabbitMQQueue) -> None:
    path = f"queues/{installation.vhost}/{agent_queue(WEB)}"
    with pytest.raises(QueueError, match="is gone"):
        await _heard_while(queue, installation.broker.ask, "DELETE", path)
    with pytest.raises(QueueError, match="bellpull broker setup"):
        await _first(queue)


async def _heard_while(queue: RabbitMQQueue, happens: Callable[..., object], *words: str) -> None:
    async with opened(queue) as frames:
        await asyncio.to_thread(happens, *words)
        await anext(frames)


async def test_who_is_not_let_in_is_told_so(installation: Installed, tmp_path: Path) -> None:
    """As by the gateway: it is tried again, slowly; and no password is in the message."""
    queue = queue_of(installation, tmp_path, password="wr0ng-word")
    with pytest.raises(AccessRefusedError) as refused:
        await _first(queue)
    assert "wr0ng-word" not in str(refused.value)


async def test_another_agents_queue_is_not_heard(installation: Installed, tmp_path: Path) -> None:
    """P3."""
    queue = queue_of(installation, tmp_path, agent=Name("web-2"))
    with pytest.raises(QueueError, match="web-2"):
        await _first(queue)
