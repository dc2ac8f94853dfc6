"""A gateway with `queue.rabbitmq`, as a user runs it: files, HTTP and signals, and a RabbitMQ."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellpull.contract.text import MessageId
from gateway.app.main import DISK_FAILED
from tests.e2e.brokered import RIGHTS, Brokered, Heard, brokered, heard, problems, push, report, served
from tests.gateway import examples
from tests.gateway.disk.program import BROKEN
from tests.gateway.process import Gateway, ask, eventually
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.breaking import Breaking
from tests.parts.rabbitmq import Broker

pytestmark = pytest.mark.timeout(300)
_START_S = 90.0
"""For what waits for a broker that starts."""
NOWHERE = "amqp://127.0.0.1:1"


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "e2e", RIGHTS, GATEWAY) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, installation: Installed) -> Brokered:
    return brokered(tmp_path, installation)


def until_well(gateway: Gateway) -> None:
    with eventually("nothing is wrong", _START_S) as look:
        while problems(gateway):
            look.again()


def until_sent(folder: Brokered) -> None:
    with eventually("nothing waits", _START_S) as look:
        while folder.waiting():
            look.again()


def commits(messages: list[Heard]) -> list[str | None]:
    return [each.commit for each in messages]


def test_a_push_reaches_the_agents_queue_as_the_bytes_that_are_on_disk_sealed(
    folder: Brokered, installation: Installed
) -> None:
    """P12, R27: what the agent takes from its queue is what was accepted, and the installation's key says so."""
    with folder.running() as gateway:
        until_well(gateway)
        answer = push(gateway, 1)
        until_sent(folder)
        assert gateway.stop() == 0
    (message,) = heard(folder, installation)
    assert answer.status == 202
    assert [message.message.id] == answer.json()["events"]
    assert [message.body] == folder.bodies()
    assert (message.user, message.is_persistent) == (GATEWAY, True)


async def test_what_is_pushed_while_the_broker_is_down_is_taken_at_once_and_sent_when_it_comes(
    installation: Installed, tmp_path: Path
) -> None:
    """P1, P13, R13: 202 never waits for it; degraded, not unready; and the newest of each ref is heard in the end."""
    async with Breaking(1) as way:
        folder = Brokered(tmp_path, f"amqp://127.0.0.1:{way.port}/{installation.vhost}")
        async with served(folder) as gateway:
            said = await asyncio.to_thread(_push_and_look, gateway)
            assert "10 events wait for it" in said
            assert "agents are not heard over the broker" in said
            way.target = installation.broker.port
            await asyncio.to_thread(until_well, gateway)
            await asyncio.to_thread(until_sent, folder)
            assert await asyncio.to_thread(gateway.stop) == 0
    assert commits(await asyncio.to_thread(heard, folder, installation)) == [examples.commit(10)]


def _push_and_look(gateway: Gateway) -> str:
    """Push ten times to a ref, and return what is said of the broker."""
    assert [push(gateway, number).status for number in range(1, 11)] == [202] * 10
    with eventually("it says that the broker is away") as look:
        while "10 events wait" not in (said := problems(gateway)):
            look.again()
    return said


def test_what_was_not_sent_before_a_stop_is_sent_after_the_next_start(
    folder: Brokered, installation: Installed
) -> None:
    """R11: a stop without a broker waits for nothing; the journal keeps what was accepted."""
    away = Brokered(folder.path, NOWHERE, like=folder)
    with away.running() as gateway:
        assert push(gateway, 1).status == 202
        begun = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - begun < 15, "it waited for a broker that is not there"
    assert folder.lines()[-2]["event"] == "events wait for the next start"
    again = brokered(folder.path, installation, like=folder)
    with again.running() as gateway:
        until_sent(again)
        gateway.stop()
    assert commits(heard(folder, installation)) == [examples.commit(1)]


def test_what_is_accepted_before_a_stop_is_sent_before_the_end(folder: Brokered, installation: Installed) -> None:
    """R11: the broker is there, so a stop leaves nothing behind, however much came in the last moment."""
    with folder.running() as gateway:
        until_well(gateway)
        refs = [f"refs/heads/b{number}" for number in range(30)]
        assert {push(gateway, number, ref=ref).status for number, ref in enumerate(refs)} == {202}
        assert gateway.stop() == 0
    assert folder.waiting() == 0
    assert len(heard(folder, installation)) == 30


def test_what_an_agent_says_over_the_broker_is_shown(folder: Brokered, installation: Installed) -> None:
    """P5: its report answers the announcement, by whatever way it comes."""
    with folder.running() as gateway:
        until_well(gateway)
        (event,) = push(gateway, 1).json()["events"]
        report(folder, installation, examples.report(1, events=(MessageId(event),)))
        until_shown(gateway, "applied")


def until_shown(gateway: Gateway, word: str) -> None:
    with eventually(f"the commit is {word}") as look:
        while word not in [each["word"] for each in shown(gateway)]:
            look.again()


def shown(gateway: Gateway) -> list[dict[str, object]]:
    """Return what is said of commit 1, as far as it is known."""
    answer = ask(f"{gateway.console}/api/v1/commits/{examples.commit(1)}")
    syncs: list[dict[str, object]] = answer.json()["announcements"][0]["syncs"] if answer.status == 200 else []
    return syncs


def test_two_gateways_with_one_broker(folder: Brokered, installation: Installed, tmp_path: Path) -> None:
    """R7, R22: each has its own journal; what one accepted, and what agents say of it, is known to both."""
    other = brokered(tmp_path / "other", installation, like=folder)
    with folder.running() as one, other.running() as two:
        until_well(one)
        until_well(two)
        (event,) = push(one, 1).json()["events"]
        until_shown(two, "unknown")
        report(folder, installation, examples.report(1, events=(MessageId(event),)))
        until_shown(one, "applied")
        until_shown(two, "applied")
        assert push(one, 2, ref="refs/heads/next").json() == push(two, 2, ref="refs/heads/next").json()
        until_sent(folder)
        until_sent(other)
    found = commits(heard(folder, installation))
    assert found.count(examples.commit(1)) == 1
    assert found.count(examples.commit(2)) in (1, 2), "a delivery that came to both"


def test_a_broker_that_is_turned_on_hears_that_all_is_to_be_looked_at(
    folder: Brokered, installation: Installed
) -> None:
    """P1: from the embedded queue to RabbitMQ, and nothing is lost: a resync covers what was accepted before."""
    config = (folder.path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", "".join(line for line in config.splitlines(True) if not line.startswith("queue:")))
    with folder.running() as gateway:
        assert push(gateway, 1).status == 202
        assert gateway.stop() == 0
    folder.write("gateway.yaml", config)
    for _ in range(2):
        with folder.running() as gateway:
            until_well(gateway)
            until_sent(folder)
            assert gateway.stop() == 0
    (message,) = heard(folder, installation)
    assert type(message.message.data).__name__ == "Resync"


def test_what_waits_for_a_broker_that_is_turned_off_stays_and_is_said(
    folder: Brokered, installation: Installed
) -> None:
    away = Brokered(folder.path, NOWHERE, like=folder)
    with away.running() as gateway:
        assert push(gateway, 1).status == 202
        gateway.stop(signal.SIGKILL)
    config = (folder.path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", "".join(line for line in config.splitlines(True) if not line.startswith("queue:")))
    with folder.running() as gateway:
        assert ask(f"{gateway.console}/readyz").json() == {"state": "ready"}
        gateway.stop()
    said = [line for line in folder.lines() if line["event"].startswith("events wait for a broker, and none")]
    assert [line["left"] for line in said] == [1]
    again = brokered(folder.path, installation, like=folder)
    with again.running() as gateway:
        until_sent(again)
        gateway.stop()
    assert examples.commit(1) in commits(heard(folder, installation))


def test_an_agent_without_a_queue_is_named_until_it_has_one(broker: Broker, tmp_path: Path) -> None:
    """R21: what is missing is named with what to do, and pushes are taken."""
    with installed(broker, "e2e", {}, GATEWAY) as bare:
        folder = brokered(tmp_path, bare)
        with folder.running() as gateway:
            with eventually("it is named") as look:
                while "agent web-1 has no queue, or it is not bound: run: bellpull broker setup" not in problems(
                    gateway
                ):
                    look.again()
            assert push(gateway, 1).status == 202


def test_a_disk_that_fails_ends_it_as_without_a_broker(folder: Brokered) -> None:
    """R3."""
    data = folder.path / "data"
    with folder.running(program=("-m", "tests.gateway.disk.program", str(data))) as gateway:
        until_well(gateway)
        (data / BROKEN).touch()
        assert push(gateway, 2).status == 503
        assert gateway.process.wait(20) == DISK_FAILED
    assert "Traceback" not in (folder.path / "stderr").read_text()
