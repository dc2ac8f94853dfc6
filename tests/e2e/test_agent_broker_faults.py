"""An agent at a real RabbitMQ, and all that may go wrong there: what was accepted is heard, zero lost (P1, P12).

Each event is of a ref of its own, so that none stands for another.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import sleep

import aio_pika
import pytest

from agent.app import listener as listening
from agent.core.reconnect import Pauses
from bellpull.contract.message import encode
from bellpull.contract.routing import DEAD_LETTERS, EVENTS, SEAL, agent_key
from bellpull.contract.seal import SealType, seal
from bellpull.runtime.clock import utc_now
from bellpull.runtime.jose import Ed25519Signer, generate, public_jwk, public_set
from tests import soak
from tests.e2e.listening import HEARD, KEYS, PASSWORD, UP
from tests.gateway.brokers import left_in
from tests.gateway.examples import WEB
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.breaking import Break, Cut
from tests.parts.rabbitmq import Broker
from tests.suites.rabbitmq import Brokered, brokered
from tests.suites.transport import Ears, event, until

pytestmark = pytest.mark.timeout(600)
_CHANNEL_OPENED = b"\x00\x14\x00\x0b"
"""The method `channel.open-ok`."""
_RIGHTS = {WEB: ["github.com/acme/site"]}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back without the pauses that spare a broker."""
    monkeypatch.setattr(Pauses, "pause_s", lambda *_, **__: 0.02)
    monkeypatch.setattr(listening, "_RESYNC_EVERY", timedelta())


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "faults", _RIGHTS, GATEWAY) as made:
        yield made


@pytest.fixture
async def harness(installation: Installed, tmp_path: Path) -> AsyncIterator[Brokered]:
    async with brokered(tmp_path, installation) as made:
        yield made


@pytest.fixture
def ears(harness: Brokered, tmp_path: Path) -> Ears:
    return Ears(harness, tmp_path / "agent")


# -- the agent is killed --


@dataclass(slots=True)
class _Load:
    """Events that are accepted all the time."""

    harness: Brokered
    accepted: int = 0

    @asynccontextmanager
    async def running(self, pause_s: float = 0.005) -> AsyncIterator[None]:
        async def accept() -> None:
            while True:
                await self.harness.accept(event(self.accepted + 1))
                self.accepted += 1
                await asyncio.sleep(pause_s)

        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(accept())
            yield
            accepting.cancel()

    def ids(self) -> set[str]:
        return {event(number + 1).id for number in range(self.accepted)}


def _listen_and_be_killed(folder: Path, url: str, after_s: float | None, over: Callable[[], bool]) -> None:
    """Run an agent's listener until `after_s` after it hears, or until it is over; then kill it. Blocks."""
    (folder / UP).unlink(missing_ok=True)
    with subprocess.Popen([sys.executable, "-m", "tests.e2e.listening", str(folder), url]) as process:
        try:
            _wait(lambda: (folder / UP).exists())
            if after_s is None:
                _wait(over)
            else:
                sleep(after_s)
            assert process.poll() is None, "it ended by itself"
        finally:
            process.kill()


def _wait(is_so: Callable[[], bool]) -> None:
    for _ in range(3000):
        if is_so():
            return
        sleep(0.02)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("rounds", [5, pytest.param(150, marks=pytest.mark.soak)])
async def test_an_agent_that_is_killed_under_load_hears_all_that_was_accepted(
    harness: Brokered, installation: Installed, tmp_path: Path, rounds: int
) -> None:
    """What its inbox did not have yet is handed out again (R19)."""
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    folder = tmp_path / "killed"
    await asyncio.to_thread(_prepare, folder, harness)
    url = installation.broker.url(installation.vhost)
    load = _Load(harness)

    def heard() -> list[str]:
        path = folder / HEARD
        return path.read_text().split() if path.exists() else []

    async with load.running():
        for _ in range(rounds):
            await asyncio.to_thread(_listen_and_be_killed, folder, url, chance.uniform(0.0, 0.4), lambda: True)
    is_over = lambda: load.ids() <= set(heard())  # noqa: E731
    await asyncio.to_thread(_listen_and_be_killed, folder, url, None, is_over)
    ids = await asyncio.to_thread(heard)
    lost = load.ids() - set(ids)
    soak.record(
        "agent killed under load, with RabbitMQ",
        rounds=rounds,
        answered=load.accepted,
        heard=len(set(ids)),
        lost=len(lost),
        again=len(ids) - len(set(ids)),
    )
    assert not lost, f"seed {seed}"
    assert load.accepted > rounds * 10


def _prepare(folder: Path, harness: Brokered) -> None:
    folder.mkdir()
    (folder / KEYS).write_bytes(public_set([public_jwk(harness.signer.public)]))
    (folder / PASSWORD).write_text(WEB)


# -- the way there is gone --


async def test_a_broker_that_stops_and_starts_loses_nothing(rabbitmq: Broker, tmp_path: Path) -> None:
    """What is accepted meanwhile waits in the journal, what was not settled in the queue."""
    with installed(rabbitmq, "faults", _RIGHTS, GATEWAY) as made:
        async with brokered(tmp_path, made) as harness:
            ears = Ears(harness, tmp_path / "agent")
            async with ears.open():
                await ears.accept(*range(1, 50))
                await asyncio.to_thread(rabbitmq.stop)
                await ears.accept(*range(50, 150))
                await asyncio.to_thread(rabbitmq.start)
                await ears.accept(*range(150, 200))
                await ears.hears(*range(1, 200))
            soak.record("broker stopped and started", answered=199, heard=len(set(ears.heard())), lost=0)
            assert ears.told() == []


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.soak)])
async def test_a_network_that_passes_nothing_on_for_longer_than_a_heartbeat_is_left(ears: Ears, rounds: int) -> None:
    """P1: neither end is told that it is dead, and events go on being accepted."""
    numbers = count(1)
    heard = 0
    async with ears.open():
        for _ in range(rounds):
            ears.harness.cut(Cut(to_client=random.randrange(2000, 20_000), how=Break.STALL))
            some = [next(numbers) for _ in range(60)]
            await ears.accept(*some)
            await ears.hears(*some)
            heard += len(some)
    assert len(ears.queue.frames) > rounds, "it did not come back"
    soak.record("network between agent and RabbitMQ stalled", rounds=rounds, answered=heard, lost=len(ears.lost()))
    assert ears.lost() == []


async def test_a_connection_that_goes_while_a_channel_is_opened_is_made_again(ears: Ears) -> None:
    """The library then cancels what waits, which must not end the listener without a word."""
    async with ears.open():
        opened = ears.harness.passed().rfind(_CHANNEL_OPENED)
    assert opened > 0
    ears.harness.cut(Cut(to_client=opened, how=Break.STALL))
    async with ears.open():
        await ears.accept(1)
        await ears.hears(1)
    assert len(ears.queue.frames) > 2


# -- the agent's queue overflows --


async def test_an_agent_whose_queue_overflowed_while_it_was_away_looks_at_everything(
    installation: Installed, harness: Brokered, ears: Ears
) -> None:
    """P1, R20: it ends on the newest of every ref all the same, and what overflowed is no dead letter."""
    await asyncio.to_thread(installation.bound, "bellpull.agents", max_length=5)
    numbers = range(2, 52)
    async with ears.open():
        await ears.accept(1)
        await ears.hears(1)
        harness.leave_alone()
        await ears.accept(*numbers)
        await harness.sent()
        await ears.harm(harness.come_back)
        await ears.accept(99)
        await ears.hears(99)
        overflowed = {event(number).id for number in numbers} - set(ears.heard())
        await until(lambda: not ears.lost(), lambda: f"lost {ears.lost()}")
    assert len(overflowed) >= len(numbers) * 0.9
    dead = await asyncio.to_thread(left_in, installation.broker, DEAD_LETTERS, installation.vhost)
    assert dead == []
    soak.record("agent's queue overflowed", answered=len(numbers) + 2, overflowed=len(overflowed), lost=0)


# -- forgeries --


def _sealed(body: bytes, signer: Ed25519Signer, age: timedelta = timedelta()) -> str:
    return seal(body, seal_type=SealType.EVENT, audience="acme", now=utc_now() - age, signer=signer)


async def _publish(installation: Installed, header: str | None, body: bytes) -> None:
    async with installation.connected(GATEWAY) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(EVENTS, ensure=False)
        message = aio_pika.Message(body, user_id=GATEWAY, headers={} if header is None else {SEAL: header})
        await exchange.publish(message, agent_key(WEB))


@pytest.mark.parametrize("forgery", ["no seal", "wrong key", "wrong type", "a bit changed"])
async def test_a_message_forged_on_the_broker_is_a_dead_letter(
    installation: Installed, harness: Brokered, ears: Ears, forgery: str
) -> None:
    """P4: the inbox never has it, and it is not handed out again; a key that is not pinned may be a new one (R27)."""
    body = encode(event(7))
    changed = bytearray(body)
    changed[random.randrange(len(body))] ^= 1 << random.randrange(8)
    header, sent = {
        "no seal": (None, body),
        "wrong key": (_sealed(body, generate()), body),
        "wrong type": (
            seal(body, seal_type=SealType.REPORT, audience="acme", now=utc_now(), signer=harness.signer),
            body,
        ),
        "a bit changed": (_sealed(body, harness.signer), bytes(changed)),
    }[forgery]
    async with ears.open():
        await _publish(installation, header, sent)
        await ears.accept(1)
        await ears.hears(1)
        ears.assert_exactly(1)
        dead: list[object] = []
        for _ in range(600):
            dead += await asyncio.to_thread(left_in, installation.broker, DEAD_LETTERS, installation.vhost)
            if dead:
                break
            await asyncio.sleep(0.05)
    assert len(dead) == 1
    looks = ["an event was sealed with a key that is not pinned here"] if forgery == "wrong key" else []
    assert ears.told() == looks


async def test_a_message_replayed_after_a_week_is_a_look_and_nothing_else(
    installation: Installed, harness: Brokered, ears: Ears
) -> None:
    """P4: what was sealed once is a hint that a ref moved; Git decides what is there."""
    body = encode(event(7))
    async with ears.open():
        await _publish(installation, _sealed(body, harness.signer, timedelta(days=7)), body)
        await ears.accept(1)
        await ears.hears(1)
    ears.assert_exactly(*({1, 7} if event(7).id in ears.heard() else {1}))
    assert ears.told() == []
