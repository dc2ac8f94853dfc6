"""What is said over a real RabbitMQ, as a gateway hears it: agents as by POST (R26), and other gateways (R22)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange
from aio_pika.exceptions import PublishError
from pamqp.common import FieldValue

from bellpull.contract.event import RefUpdated
from bellpull.contract.message import Data, Message, encode
from bellpull.contract.report import Heartbeat
from bellpull.contract.routing import EVENTS, HEARTBEATS, REPORTS, SEAL, report_key, routing_key
from bellpull.contract.seal import SealType, seal
from bellpull.contract.text import MessageId, Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.config import SecretRef
from bellpull.runtime.jose import Ed25519Signer
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.adapters.ears import hearing_agents, hearing_gateways
from gateway.adapters.journal import open_journal
from gateway.adapters.state import SqliteState, open_state
from gateway.app.admission import AgentsParts
from gateway.app.enrolment import Enrolment, Enrolments
from gateway.app.overhearing import Overhearing
from tests.gateway.agents import ACME, AGENT_KEY, GATEWAY_KEY, OTHER_KEY, record
from tests.gateway.examples import T0, WEB, commit, heartbeat, push, report, seconds, sync_state
from tests.gateway.test_forwarder import until
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.amqp import UNREADABLE, raw
from tests.parts.rabbitmq import Broker

OTHER = Name("web-2")
NAME = "bellpull gateway tests"


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    rights = {WEB: ["github.com/acme/site"], OTHER: ["github.com/acme/other"]}
    with installed(broker, "overhearing", rights, GATEWAY) as made:
        yield made


@dataclass
class Listening:
    overhearing: Overhearing
    state: SqliteState
    metrics: Metrics
    asked: list[Name]

    def counted(self, outcome: str) -> float:
        """Return how many messages of agents ended so."""
        lines = self.metrics.render()[0].decode().splitlines()
        name = f'bellpull_broker_heard_total{{outcome="{outcome}"}} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def settings_of(installation: Installed, folder: Path) -> RabbitMQSettings:
    (folder / "password").write_text(GATEWAY)
    url = installation.broker.url(installation.vhost)
    return RabbitMQSettings(url=url, username=GATEWAY, password=SecretRef(file=Path("password")))


@dataclass
class Telling:
    """How a gateway publishes an event; by default as another one of the installation does it."""

    message: Message
    name: str = "another gateway"
    signer: Ed25519Signer = GATEWAY_KEY
    seal_type: SealType = SealType.EVENT
    age: timedelta = timedelta()

    async def publish(self, exchange: AbstractExchange) -> None:
        body, now = encode(self.message), utc_now() - self.age
        header = seal(body, seal_type=self.seal_type, audience="acme", now=now, signer=self.signer)
        message = aio_pika.Message(body, user_id=GATEWAY, app_id=self.name, headers={SEAL: header})
        assert isinstance(self.message.data, RefUpdated)
        await exchange.publish(message, routing_key(self.message.data.repository, self.message.data.ref))


async def tell(installation: Installed, *tellings: Telling) -> None:
    async with installation.connected(Name(GATEWAY)) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(EVENTS, ensure=False)
        for telling in tellings:
            await telling.publish(exchange)


@asynccontextmanager
async def listening(settings: RabbitMQSettings, folder: Path) -> AsyncIterator[Listening]:
    records: dict[Name, Enrolment] = {
        WEB: record(),
        OTHER: record("github.com/acme/other", token="bpa_web-2_x", agent=OTHER, key=OTHER_KEY),
    }
    metrics = Metrics()
    async with open_journal(folder / "journal.db", T0) as journal, open_state(folder / "state.db", T0) as state:
        parts = AgentsParts(
            installation=ACME,
            journal=journal,
            state=state,
            enrolments=lambda: Enrolments(records),
            signer=lambda: GATEWAY_KEY,
            metrics=metrics,
        )
        asked: list[Name] = []
        where = (settings, folder, NAME)
        overhearing = Overhearing(
            parts, partial(hearing_agents, *where), partial(hearing_gateways, *where), asked.append
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(overhearing.run())
            yield Listening(overhearing, state, metrics, asked)
            running.cancel()


@pytest.fixture
async def gateway(installation: Installed, tmp_path: Path) -> AsyncIterator[Listening]:
    async with listening(settings_of(installation, tmp_path), tmp_path) as made:
        await until(lambda: made.overhearing.problems() == ())
        yield made


@dataclass
class Saying:
    """How a message is published; by default as an agent does it."""

    data: Data
    user: Name = WEB
    key: Name = WEB
    user_id: str | None = WEB
    signer: Ed25519Signer = AGENT_KEY
    age: timedelta = timedelta()
    sealed: bool = True
    also: tuple[str, ...] = ()

    async def publish(self, exchange: AbstractExchange) -> None:
        body = encode(Message(id=MessageId("m1"), source="//acme/agents/web-1", time=T0, data=self.data))
        now = utc_now() - self.age
        header = seal(body, seal_type=SealType.REPORT, audience="acme", now=now, signer=self.signer)
        headers: dict[str, FieldValue] = {SEAL: header} if self.sealed else {}
        if self.also:
            headers["CC"] = [*self.also]
        message = aio_pika.Message(body, user_id=self.user_id, headers=headers)
        await exchange.publish(message, report_key(self.key))


async def say(installation: Installed, *sayings: Saying) -> None:
    for saying in sayings:
        async with installation.connected(saying.user) as connection:
            channel = await connection.channel(on_return_raises=True)
            name = HEARTBEATS if isinstance(saying.data, Heartbeat) else REPORTS
            await saying.publish(await channel.get_exchange(name, ensure=False))


async def test_reports_and_heartbeats_are_kept(installation: Installed, gateway: Listening) -> None:
    await say(installation, Saying(heartbeat(1, full=(sync_state(),))), Saying(report(2)))
    await until(lambda: gateway.counted("taken") == 2)
    assert (await gateway.state.agents())[WEB].syncs == (sync_state(),)
    assert len(await gateway.state.answers("github.com/acme/site", "refs/heads/main", T0)) == 1


async def test_who_is_not_known_in_full_is_asked(installation: Installed, gateway: Listening) -> None:
    """R22: after what it said was missed; not once it was heard in full."""
    await say(installation, Saying(heartbeat(1)), Saying(report(2)))
    await until(lambda: gateway.counted("taken") == 2)
    assert gateway.asked == [WEB, WEB]
    await say(installation, Saying(heartbeat(3, full=(sync_state(),))), Saying(report(4)))
    await until(lambda: gateway.counted("taken") == 4)
    assert gateway.asked == [WEB, WEB]


async def test_each_gateway_hears_everything(installation: Installed, gateway: Listening, tmp_path: Path) -> None:
    """R22."""
    (tmp_path / "other").mkdir()
    async with listening(settings_of(installation, tmp_path / "other"), tmp_path / "other") as other:
        await until(lambda: other.overhearing.problems() == ())
        await say(installation, Saying(report(1)))
        await until(lambda: gateway.counted("taken") == other.counted("taken") == 1)


@pytest.mark.parametrize(
    "saying",
    [
        pytest.param(Saying(report(1), signer=OTHER_KEY), id="by another's key"),
        pytest.param(Saying(report(1), sealed=False), id="without a seal"),
        pytest.param(Saying(report(1), user_id=None), id="by nobody the broker vouches for"),
        pytest.param(Saying(report(1, agent=OTHER)), id="in another's name"),
        pytest.param(Saying(report(1), user=OTHER, key=OTHER, user_id=OTHER), id="another's, repeated"),
        pytest.param(Saying(report(1, path="acme/other")), id="of another repository"),
        pytest.param(Saying(report(1, environment=Name("staging"))), id="of another environment"),
        pytest.param(Saying(report(1), age=seconds(7 * 86400)), id="a week old"),
    ],
)
async def test_what_does_not_count_changes_nothing(
    installation: Installed, gateway: Listening, saying: Saying
) -> None:
    """R26: seal, user, key and body name one agent, and its record has what it speaks of; nobody else is held up."""
    await say(installation, saying, Saying(heartbeat(9)))
    await until(lambda: gateway.counted("taken") == gateway.counted("refused") == 1)
    assert await gateway.state.answers("github.com/acme/site", "refs/heads/main", T0) == ()
    assert await gateway.state.answers("github.com/acme/other", "refs/heads/main", T0) == ()


@pytest.mark.parametrize("properties", UNREADABLE.values(), ids=UNREADABLE)
async def test_properties_that_cannot_be_read_are_refused_and_hold_up_nobody(
    installation: Installed, gateway: Listening, properties: tuple[int, bytes]
) -> None:
    """R26: whoever has an agent's credential may send it, and must not end the connection on which all are heard."""
    before = await asyncio.to_thread(_queues, installation.broker, installation.vhost)
    await asyncio.to_thread(publish_raw, installation, *properties)
    await say(installation, Saying(heartbeat(9)))
    await until(lambda: gateway.counted("taken") == gateway.counted("refused") == 1)
    assert await asyncio.to_thread(_queues, installation.broker, installation.vhost) == before


def publish_raw(installation: Installed, flags: int, properties: bytes) -> None:
    with raw(installation.broker.port, installation.vhost, OTHER, OTHER) as channel:
        channel.publish(HEARTBEATS, report_key(OTHER), b"{}", flags, properties)


async def test_who_floods_is_not_heard_and_the_others_are(installation: Installed, gateway: Listening) -> None:
    """What one stolen credential sends neither pushes out what others say nor stays unnamed; gateways are heard."""
    await asyncio.to_thread(flood, installation, 1_000)
    await until(lambda: "agent web-2 says more" in "".join(gateway.overhearing.problems()))
    with pytest.raises(PublishError):  # it comes back, so that an honest agent keeps it
        await say(installation, Saying(report(1, agent=OTHER), user=OTHER, key=OTHER, user_id=OTHER))
    await say(installation, Saying(heartbeat(1)))
    await until(lambda: gateway.counted("taken") == 1)
    before = gateway.counted("refused")
    await asyncio.to_thread(flood, installation, 100)
    await say(installation, Saying(heartbeat(2)))
    await tell(installation, Telling(push(1)))
    await until(lambda: gateway.counted("taken") == 3)
    assert gateway.counted("refused") == before


async def test_who_was_left_out_is_heard_again(installation: Installed, tmp_path: Path) -> None:
    async with hearing_agents(settings_of(installation, tmp_path), tmp_path, NAME) as heard:
        saying = Saying(report(1, agent=OTHER), user=OTHER, key=OTHER, user_id=OTHER)
        await heard.hear([report_key(WEB)])
        await asyncio.to_thread(flood, installation, 1)
        await say(installation, Saying(report(2)))
        await heard.hear(None)
        await say(installation, saying)
        said = aiter(heard)
        assert [(await anext(said)).agent for _ in range(2)] == [WEB, OTHER]


async def test_further_keys_in_a_header_make_an_agent_nobody_else(
    installation: Installed, gateway: Listening
) -> None:
    """R26: RabbitMQ 3.10 lets an agent use another's key there, which must not count as who it is."""
    saying = Saying(report(1), user=OTHER, key=OTHER, user_id=OTHER, also=(report_key(WEB),))
    await say(installation, saying, replace(saying, data=report(1, agent=OTHER), signer=OTHER_KEY))
    await until(lambda: gateway.counted("refused") == 2)
    assert await gateway.state.answers("github.com/acme/site", "refs/heads/main", T0) == ()


def flood(installation: Installed, number: int) -> None:
    with raw(installation.broker.port, installation.vhost, OTHER, OTHER) as channel:
        for _ in range(number):
            channel.publish(HEARTBEATS, report_key(OTHER), b"{}", 0, b"")


async def test_what_cannot_be_kept_now_is_kept_later(installation: Installed, gateway: Listening) -> None:
    """A full disk loses no word; what follows waits with the broker."""
    disk = gateway.state._database._writing
    disk.pragma("query_only", 1)
    await say(installation, *(Saying(report(number)) for number in range(1, 4)))
    await asyncio.sleep(1.5)
    assert gateway.counted("taken") == 0
    disk.pragma("query_only", 0)
    await until(lambda: gateway.counted("taken") == 3)


async def test_it_comes_back_when_its_connection_is_closed(installation: Installed, gateway: Listening) -> None:
    broker, vhost = installation.broker, installation.vhost
    before = await asyncio.to_thread(_queues, broker, vhost)
    await asyncio.to_thread(broker.close_connections, vhost)
    await until(lambda: len(after := _queues(broker, vhost)) == 2 and not {*after} & {*before})
    await until(lambda: gateway.overhearing.problems() == ())
    await say(installation, Saying(report(1)))
    await until(lambda: gateway.counted("taken") == 1)


async def test_what_another_gateway_accepted_is_known(installation: Installed, gateway: Listening) -> None:
    """R22: once, however often it comes; a ref that was deleted, too."""
    gone = push(2)
    assert isinstance(gone.data, RefUpdated)
    gone = replace(gone, data=replace(gone.data, before=gone.data.after, after=None, created=False, deleted=True))
    await tell(installation, Telling(push(1)), Telling(push(1)), Telling(gone))
    await until(lambda: gateway.counted("taken") == 3)
    (found,) = await gateway.state.announcements(commit(1))
    assert (found.event_id, found.ref, found.source) == (push(1).id, "refs/heads/main", "github")
    assert abs(utc_now() - found.accepted) < timedelta(minutes=1)
    assert [(one.event_id, one.commit) for one in await gateway.state.later(found)] == [(gone.id, None)]


async def test_what_this_gateway_published_is_not_heard_again(installation: Installed, gateway: Listening) -> None:
    await tell(installation, Telling(push(1), name=NAME), Telling(push(2)))
    await until(lambda: gateway.counted("taken") == 1)
    assert await gateway.state.announcements(commit(1)) == ()


@pytest.mark.parametrize(
    "telling",
    [
        pytest.param(Telling(push(1), signer=OTHER_KEY), id="by another key"),
        pytest.param(Telling(push(1), seal_type=SealType.REPORT), id="with an agent's kind of seal"),
        pytest.param(Telling(push(1), age=seconds(7 * 86400)), id="a week old"),
    ],
)
async def test_what_no_gateway_says_now_announces_nothing(
    installation: Installed, gateway: Listening, telling: Telling
) -> None:
    """R22, R26."""
    await tell(installation, telling, Telling(push(2)))
    await until(lambda: gateway.counted("taken") == gateway.counted("refused") == 1)
    assert await gateway.state.announcements(commit(1)) == ()


async def test_nothing_is_left_behind(installation: Installed, tmp_path: Path) -> None:
    async with listening(settings_of(installation, tmp_path), tmp_path) as gateway:
        await until(lambda: gateway.overhearing.problems() == ())
        assert len(await asyncio.to_thread(_queues, installation.broker, installation.vhost)) == 2
    await until(lambda: _queues(installation.broker, installation.vhost) == [])


async def test_a_broker_that_is_not_there_is_a_problem_and_no_end(installation: Installed, tmp_path: Path) -> None:
    settings = settings_of(installation, tmp_path)
    away = settings.model_copy(update={"url": "amqp://127.0.0.1:1"})
    async with listening(away, tmp_path) as gateway:
        await until(lambda: "refused" in "".join(gateway.overhearing.problems()))


def _queues(broker: Broker, vhost: str) -> list[str]:
    return [each["name"] for each in broker.ask("GET", f"queues/{vhost}") if each["name"].startswith("bellpull.gw.")]
