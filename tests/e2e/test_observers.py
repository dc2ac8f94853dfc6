"""What a running gateway tells observers: pushes and outcomes under its seal, beside all that anybody waits for."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bellpull.contract.message import Message, decode
from bellpull.contract.repository import Repository
from bellpull.contract.routing import OUTCOMES, SEAL, observer_queue
from bellpull.contract.seal import PinnedKey, SealType, unseal
from bellpull.contract.text import Host, MessageId, Name, RepositoryPath
from bellpull.runtime.clock import utc_now
from gateway.core.observing import Interest, Kind
from tests.e2e.brokered import RIGHTS, Brokered, brokered, heard, problems, push, report
from tests.gateway import examples
from tests.gateway.process import Gateway, ask, eventually
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.rabbitmq import Broker

pytestmark = pytest.mark.timeout(300)
CHAT, DEAF = Name("chat"), Name("deaf")
OBSERVERS = {
    CHAT: Interest(repositories=("github.com/acme/site",), kinds=tuple(Kind)),
    DEAF: Interest(repositories=("github.com/acme/other",), kinds=tuple(Kind)),
}


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "e2e-observed", RIGHTS, GATEWAY, OBSERVERS) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, installation: Installed) -> Brokered:
    folder = brokered(tmp_path, installation)
    folder.write("observers/chat.yaml", "observer: chat\nrepositories: [github.com/acme/site]\n")
    return folder


@dataclass(frozen=True, slots=True)
class Told:
    body: bytes
    seal: str

    @property
    def message(self) -> Message:
        message = decode(self.body)
        assert isinstance(message, Message)
        return message


def told(installation: Installed, observer: Name) -> list[Told]:
    """Take what is in an observer's queue, as the observer. Blocks."""
    return asyncio.run(_told(installation, observer))


async def _told(installation: Installed, observer: Name) -> list[Told]:
    found = []
    async with installation.connected(observer) as connection, connection.channel() as channel:
        queue = await channel.get_queue(observer_queue(observer), ensure=False)
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            header = message.headers[SEAL]
            assert isinstance(header, str)
            found.append(Told(message.body, header))
    return found


def until_told(installation: Installed, number: int) -> list[Told]:
    """Return what the observer is told once it is so much."""
    found: list[Told] = []
    with eventually(f"the observer has {number}") as look:
        while len(found) < number:
            look.again()
            found += told(installation, CHAT)
    return found


def until_well(gateway: Gateway) -> None:
    with eventually("nothing is wrong", 90.0) as look:
        while problems(gateway):
            look.again()


def checked(folder: Brokered, told: Told, seal_type: SealType) -> Message:
    """Return what was told, if the installation vouches for it."""
    keys = {folder.seal.kid: PinnedKey(verifier=folder.seal.public)}
    unseal(told.seal, told.body, seal_type=seal_type, audience="acme", keys=keys, now=utc_now())
    return told.message


def test_an_observer_is_told_of_pushes_and_outcomes_of_what_it_is_granted_and_nothing_else(
    folder: Brokered, installation: Installed
) -> None:
    """R26: an outcome is what an agent said within its record, byte by byte, and the gateway's key vouches for it."""
    elsewhere = Repository(host=Host("github.com"), path=RepositoryPath("acme/other"))
    with folder.running() as gateway:
        until_well(gateway)
        (event,) = push(gateway, 1).json()["events"]
        said = examples.report(1, events=(MessageId(event),))
        report(folder, installation, replace(said, seq=2, watches=replace(said.watches, repository=elsewhere)))
        report(folder, installation, said)
        pushed, outcome = until_told(installation, 2)
        assert checked(folder, pushed, SealType.EVENT).id == event
        assert checked(folder, outcome, SealType.REPORT).data == said
        assert told(installation, DEAF) == [], "what is out of an agent's record is told nobody"
        report(folder, installation, said)
        assert push(gateway, 2).status == 202
        (last,) = until_told(installation, 1)
        assert checked(folder, last, SealType.EVENT).type == "dev.bellpull.ref.updated.v1"


def test_an_observer_is_no_agent(broker: Broker, tmp_path: Path) -> None:
    """R6: an enrolled agent that has no queue is missed, although an observer hears what it should."""
    with installed(broker, "e2e-observed", {}, GATEWAY, OBSERVERS) as bare:
        folder = brokered(tmp_path, bare)
        folder.write("observers/chat.yaml", "observer: chat\nrepositories: [github.com/acme/site]\n")
        with folder.running() as gateway:
            with eventually("it is connected") as look:
                while "agent web-1 has no queue" not in problems(gateway):
                    look.again()
            assert push(gateway, 1).status == 202
            until_told(bare, 1)
            assert "agent web-1 has no queue, or it is not bound: run: bellpull broker setup" in problems(gateway)
            agents = ask(f"{gateway.console}/api/v1/commits/{examples.commit(1)}").json()["announcements"][0]["syncs"]
            assert {each["agent"] for each in agents} <= {"web-1"}


def test_an_exchange_that_is_missing_is_said_and_agents_hear_all_the_same(
    folder: Brokered, installation: Installed
) -> None:
    """RabbitMQ was set up by an older version, say: observers are told nothing, and nobody waits for that."""
    for exchange in ("bellpull.notify.pushes", OUTCOMES):
        installation.broker.ask("DELETE", f"exchanges/{installation.vhost}/{exchange}")
    with folder.running() as gateway:
        expected = "observers are not told: bellpull.notify.pushes is not there, or may not be published to: "
        with eventually("it is said, and nothing else", 90.0) as look:
            while problems(gateway) != f"{expected}run: bellpull broker setup":
                look.again()
        assert push(gateway, 1).status == 202
        assert gateway.stop() == 0
    assert folder.waiting() == 0
    assert examples.commit(1) in [each.commit for each in heard(folder, installation)]


def test_without_a_record_of_an_observer_nothing_is_told(folder: Brokered, installation: Installed) -> None:
    """Who has no observers pays nothing for them."""
    (folder.path / "observers/chat.yaml").unlink()
    with folder.running() as gateway:
        until_well(gateway)
        assert push(gateway, 1).status == 202
        gateway.stop()
    assert told(installation, CHAT) == []
