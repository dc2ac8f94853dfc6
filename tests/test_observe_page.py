"""The how-to for observers, done as it is written: admitted by the command, and bridged by RabbitMQ's own means."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aio_pika
import pytest
from aio_pika.connection import make_url

from bellpull.cli.new_files import PRIVATE
from bellpull.contract.routing import PUSHES, SEAL
from tests.cli.brokers import access, forget
from tests.cli.command import Ended, bellpull
from tests.console import Console, blocks, section
from tests.parts.rabbitmq import PASSWORD, USER, Broker

pytestmark = pytest.mark.timeout(300)
PAGE = (Path(__file__).parent.parent / "docs/how-to/observe.md").read_text()
BRIDGE = "Bring it to another broker"
GATEWAY = "bellpull_gateway"
SITE = "github%2ecom.acme.site.branch.main"


@pytest.fixture(scope="module")
def bridged(rabbitmq_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node with the plug-ins for bridges: both brokers in one, a virtual host each."""
    plugins = ("rabbitmq_shovel", "rabbitmq_federation")
    broker = Broker(rabbitmq_program, tmp_path_factory.mktemp("bridged"), plugins=plugins)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def gateway(tmp_path: Path, bridged: Broker) -> Iterator[Path]:
    folder = tmp_path / "gateway"
    assert bellpull("init", folder).code == 0
    with (folder / "gateway.yaml").open("a") as config:
        config.write(
            f"queue: {{rabbitmq: {{url: '{bridged.url('bellpull')}', username: bellpull_gateway, "
            "password: {file: secrets/mq}}}\n"
        )
    (folder / "setup-password").write_text(PASSWORD)
    yield folder
    forget(bridged, "bellpull")


def _typed(title: str, broker: Broker) -> str:
    text = section(PAGE, title)
    return text.replace("amqps://", "amqp://").replace("@mq.example.org", f"@127.0.0.1:{broker.port}")


def _management(broker: Broker) -> dict[str, str]:
    return {"BELLPULL_BROKER_MANAGEMENT": broker.management, "BELLPULL_BROKER_USERNAME": USER}


async def test_an_observer_is_admitted_as_the_page_says(gateway: Path, bridged: Broker) -> None:
    async with Console.open(gateway, _management(bridged)) as console:
        await console.follow(section(PAGE, "Admit one"))


def _setup(gateway: Path, broker: Broker) -> Ended:
    (gateway / "agents").mkdir(exist_ok=True)
    return bellpull("broker", "setup", "--prune", "--yes", cwd=gateway, env=access(broker, ""))


async def _publish(gateway: Path, broker: Broker, number: int) -> None:
    """Publish as a gateway does, whose user the message bears."""
    url = make_url(
        host="127.0.0.1",
        port=broker.port,
        login=GATEWAY,
        password=(gateway / "secrets/mq").read_text().strip(),
        virtualhost="bellpull",
    )
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(PUSHES, ensure=False)
        message = aio_pika.Message(b"push %d" % number, user_id=GATEWAY, headers={SEAL: "a..b"})
        await exchange.publish(message, SITE, mandatory=False)


async def _arrived(gateway: Path, broker: Broker, vhost: str, queue: str) -> list[dict[str, Any]]:
    """Take what came over, once something did; what was published before a bridge stood may not have."""
    path = f"queues/{quote(vhost, safe='')}/{queue}/get"
    asked = {"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"}
    end = time.monotonic() + 60
    for number in range(1000):
        await _publish(gateway, broker, number)
        if found := await asyncio.to_thread(broker.ask, "POST", path, asked):
            return list(found)
        assert time.monotonic() < end, broker.log()[-3000:]
        await asyncio.sleep(0.2)
    raise AssertionError("unreachable")


def _queue(broker: Broker, vhost: str, exchange: str) -> None:
    where = quote(vhost, safe="")
    broker.ask("PUT", f"exchanges/{where}/{exchange}", {"type": "topic", "durable": True})
    broker.ask("PUT", f"queues/{where}/{exchange}.all", {"durable": True})
    broker.ask("POST", f"bindings/{where}/e/{exchange}/q/{exchange}.all", {"routing_key": "#"})


async def test_a_shovel_brings_it_to_another_broker_with_the_observers_own_user(
    gateway: Path, bridged: Broker, tmp_path: Path
) -> None:
    words = ("enroll", "--observer", "chat", "-r", "github.com/acme/site")
    assert bellpull(*words, cwd=gateway, env=access(bridged, "")).code == 0
    assert _setup(gateway, bridged).code == 0
    _queue(bridged, "/", "news")
    (tmp_path / "bin").mkdir()
    bridged.rabbitmqctl(tmp_path / "bin")
    text = _typed(BRIDGE, bridged)
    password = (gateway / "chat/broker-password").read_text().strip()
    (bridge,) = blocks(text, "json")
    said = bridge.replace("PASSWORD", password).replace("?cacertfile=/etc/rabbitmq/ca.pem&verify=verify_peer", "")
    (gateway / "bridge.json").write_text(said)
    (gateway / "bridge.json").chmod(PRIVATE)
    async with Console.open(gateway, {}) as console:
        await console.type(f'PATH="{tmp_path}/bin:$PATH"')
        await console.follow(text.split("[Federation]")[0])
    try:
        found = await _arrived(gateway, bridged, "/", "news.all")
        assert found[0]["payload"].startswith("push ")
        assert found[0]["routing_key"] == SITE
        assert found[0]["properties"]["headers"][SEAL] == "a..b"
    finally:
        bridged.ask("DELETE", "parameters/shovel/%2F/bellpull")


async def test_federation_brings_all_of_an_exchange_with_a_user_of_its_own(
    gateway: Path, bridged: Broker, tmp_path: Path
) -> None:
    assert _setup(gateway, bridged).code == 0
    (tmp_path / "bin").mkdir()
    bridged.rabbitmqctl(tmp_path / "bin")
    with bridged.vhost("other"):
        _queue(bridged, "other", PUSHES)
        async with Console.open(gateway, {}) as console:
            await console.type(f'PATH="{tmp_path}/bin:$PATH"')
            await console.follow("[Federation]" + _typed(BRIDGE, bridged).split("[Federation]")[1])
        found = await _arrived(gateway, bridged, "other", f"{PUSHES}.all")
        assert found[0]["payload"].startswith("push ")
        again = _setup(gateway, bridged)
        assert again.err == "virtual host bellpull: everything is there already\n"
    bridged.ask("DELETE", "users/bridge")
