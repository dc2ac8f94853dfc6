import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import aio_pika
import pytest

from bellpull.contract.routing import EVENTS, SEAL
from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.connect import BrokerError, connect
from bellpull.runtime.rabbitmq.publish import Parcel, Publisher, open_publisher
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.core.sending import Outcome
from tests.gateway.brokers import declare, left_in, login, queue
from tests.parts.front import free_port
from tests.parts.proxy import copy
from tests.parts.rabbitmq import Broker

VHOST = "publisher"
POISON = timedelta(seconds=-1)
"""A time that the broker refuses by closing the channel."""


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[str]:
    with broker.vhost(VHOST) as name:
        declare(broker, name)
        queue(broker, "all", "a.#", vhost=name)
        queue(broker, "seen", "seen.#", vhost=name)
        queue(broker, "one", "one.#", vhost=name, max_length=1, overflow="reject-publish")
        yield name


@pytest.fixture
def settings(broker: Broker, tmp_path: Path, vhost: str) -> RabbitMQSettings:
    return login(broker, tmp_path, vhost)


def parcel(number: int, key: str = "a.b", body: bytes = b"{}", expires: timedelta | None = None) -> Parcel:
    return Parcel(exchange=EVENTS, message_id=f"m.{number}", key=key, type="t", body=body, seal="s", expires=expires)


@asynccontextmanager
async def publishing(settings: RabbitMQSettings, folder: Path, user: str = "guest") -> AsyncIterator[Publisher]:
    async with (
        connect(settings, folder, "bellpull gateway tests") as connection,
        open_publisher(connection, user, "tests") as publisher,
    ):
        yield publisher


class _Gate:
    """Stands between a client and the broker of `settings`, and passes nothing back while it is shut."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._settings = settings
        self._far = urlsplit(settings.url)
        self._open = True
        self._lines: list[asyncio.StreamWriter] = []
        self.kept_back = asyncio.Event()
        """Set once the broker said something that the gate did not pass on."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        url = self._far._replace(netloc=f"127.0.0.1:{port}").geturl()
        self.settings = self._settings.model_copy(update={"url": url})
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def shut(self) -> None:
        self._open = False

    def cut(self) -> None:
        for each in self._lines:
            each.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
        self._lines += [writer, far_writer]
        with suppress(ConnectionError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(copy(reader, far_writer))
                while chunk := await far_reader.read(65536):
                    if self._open:
                        writer.write(chunk)
                    else:
                        self.kept_back.set()
        writer.close()


async def test_what_is_published_is_persistent_and_bears_seal_and_user(
    broker: Broker, settings: RabbitMQSettings, tmp_path: Path
) -> None:
    async with publishing(settings, tmp_path) as publisher:
        assert await publisher.send(parcel(1, "seen.b", b'{"a": 1}')) is Outcome.CONFIRMED
    (found,) = await asyncio.to_thread(left_in, broker, "seen", VHOST)
    assert found["payload"] == '{"a": 1}'
    assert found["properties"].pop("headers")[SEAL] == "s"
    assert (
        found["properties"].items()
        >= {
            "content_type": "application/cloudevents+json",
            "delivery_mode": 2,
            "message_id": "m.1",
            "type": "t",
            "user_id": "guest",
        }.items()
    )


async def test_what_no_queue_takes_comes_back_and_is_no_success(settings: RabbitMQSettings, tmp_path: Path) -> None:
    """R6: the broker confirms it all the same; two that go at once are told apart."""
    async with publishing(settings, tmp_path) as publisher:
        outcomes = await asyncio.gather(
            *(publisher.send(parcel(n, "a.b" if n % 2 else "nobody.b")) for n in range(40))
        )
    assert outcomes == [Outcome.RETURNED, Outcome.CONFIRMED] * 20


async def test_the_library_by_itself_takes_unroutable_for_success(settings: RabbitMQSettings, tmp_path: Path) -> None:
    """The trap that `on_return_raises` is for; should this fail, the library has changed for the better."""
    async with connect(settings, tmp_path, "bellpull gateway tests") as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EVENTS, ensure=False)
        await exchange.publish(aio_pika.Message(b"{}"), "nobody.b", mandatory=True)


async def test_under_one_id_the_library_swaps_the_outcomes(settings: RabbitMQSettings, tmp_path: Path) -> None:
    """The trap that numbers of attempts are for: of two under one id, the wrong one seems to come back."""
    async with publishing(settings, tmp_path) as publisher:
        outcomes = await asyncio.gather(*(publisher.send(parcel(1, key)) for key in ("nobody.b", "a.b")))
    assert outcomes != [Outcome.RETURNED, Outcome.CONFIRMED]


async def test_a_queue_without_room_is_a_nack(settings: RabbitMQSettings, tmp_path: Path) -> None:
    async with publishing(settings, tmp_path) as publisher:
        outcomes = [await publisher.send(parcel(number, "one.b")) for number in range(5)]
        assert publisher.is_open
    assert outcomes[0] is Outcome.CONFIRMED
    assert outcomes[-1] is Outcome.NACKED


async def test_one_that_the_broker_cannot_take_ends_what_was_in_flight_without_success(
    settings: RabbitMQSettings, tmp_path: Path
) -> None:
    """R6: nothing behind it is confirmed, and it is among those that closed the channel."""
    async with publishing(settings, tmp_path) as publisher:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(publisher.send(parcel(n, expires=POISON if n == 20 else None))) for n in range(50)
            ]
        outcomes = [task.result() for task in tasks]
        assert not publisher.is_open
    assert outcomes[20] is Outcome.CLOSED
    assert Outcome.CONFIRMED not in outcomes[20:]
    assert set(outcomes) <= {Outcome.CONFIRMED, Outcome.CLOSED, Outcome.LOST}


async def test_a_missing_exchange_and_a_forged_user_close_the_channel(
    broker: Broker, settings: RabbitMQSettings, tmp_path: Path
) -> None:
    """The broker checks who publishes."""
    async with publishing(settings, tmp_path, "somebody") as publisher:
        assert await publisher.send(parcel(1)) is Outcome.CLOSED
    with broker.vhost("empty"):
        async with publishing(await asyncio.to_thread(login, broker, tmp_path, "empty"), tmp_path) as publisher:
            assert await publisher.send(parcel(1)) is Outcome.CLOSED


async def test_what_is_in_flight_when_the_connection_goes_is_lost(settings: RabbitMQSettings, tmp_path: Path) -> None:
    """R6: neither done nor to blame; the one who waits is told, not cancelled."""
    async with _Gate(settings) as gate, publishing(gate.settings, tmp_path) as publisher:
        assert await publisher.send(parcel(1)) is Outcome.CONFIRMED
        gate.shut()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(publisher.send(parcel(number))) for number in range(2, 100)]
            await gate.kept_back.wait()
            leaving = group.create_task(publisher.hang_up())
            gate.cut()
        await leaving
        assert {task.result() for task in tasks} == {Outcome.LOST}
        assert await publisher.send(parcel(1000)) is Outcome.LOST


async def test_a_cancelled_sender_is_cancelled(settings: RabbitMQSettings, tmp_path: Path) -> None:
    async with publishing(settings, tmp_path) as publisher, asyncio.TaskGroup() as group:
        task = group.create_task(publisher.send(parcel(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(("user", "password"), [("guest", "hunter2"), ("nobody", "hunter2")])
async def test_who_is_not_let_in_is_told_so_without_the_password(
    settings: RabbitMQSettings, tmp_path: Path, user: str, password: str
) -> None:
    (tmp_path / "password").write_text(password)
    with pytest.raises(BrokerError, match=f"does not let {user} in") as caught:
        await _enter(settings.model_copy(update={"username": user}), tmp_path)
    assert password not in f"{caught.value!r}{caught.value.__cause__!r}"


async def test_a_broker_that_is_not_there_and_a_password_that_is_not_are_told(
    settings: RabbitMQSettings, tmp_path: Path
) -> None:
    nowhere = settings.model_copy(update={"url": f"amqp://127.0.0.1:{free_port()}"})
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:[0-9]+: .*refused"):
        await _enter(nowhere, tmp_path)
    without = settings.model_copy(update={"password": SecretRef(file=Path("absent"))})
    with pytest.raises(BrokerError, match=r"password: .*absent cannot be read"):
        await _enter(without, tmp_path)
    with pytest.raises(BrokerError, match="vhost"):
        await _enter(settings.model_copy(update={"url": f"{settings.url}-other"}), tmp_path)


async def test_a_connection_that_never_came_about_leaves_nothing_behind(
    settings: RabbitMQSettings, tmp_path: Path
) -> None:
    """The library closes such a one when it is collected, and cannot, in another thread: a warning is left."""
    nowhere = settings.model_copy(update={"url": f"amqp://127.0.0.1:{free_port()}"})
    gc.disable()
    try:
        with pytest.raises(BrokerError):
            await _enter(nowhere, tmp_path)
        await asyncio.to_thread(gc.collect)
    finally:
        gc.enable()


async def _enter(settings: RabbitMQSettings, folder: Path) -> None:
    async with connect(settings, folder, "tests"):
        pass
