"""The forwarder with a RabbitMQ: what was accepted is heard, whatever happens to the broker (P1, R6, R13)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bellpull.contract.event import RefUpdated, Resync, Tick
from bellpull.contract.message import Message, decode
from bellpull.contract.routing import SEAL, agent_key, agent_queue, binding_key
from bellpull.contract.seal import PinnedKey, SealType, unseal
from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.jose import generate
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.rabbitmq.publish import Parcel, publishing
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.outgoing import SqliteOutgoing
from gateway.app.forwarder import Forwarder, ForwarderParts
from gateway.app.parcels import Parcels
from gateway.core.audience import Audience
from gateway.ports.journal import Row
from tests.gateway.brokers import declare, left_in, login, queue
from tests.gateway.examples import GITHUB, commit, push
from tests.parts.rabbitmq import Broker

VHOST = "forwarder"
WEB = Name("web-1")
LATE = Name("web-2")
"""Has no queue."""
UNBOUND = f"agent {LATE} has no queue, or it is not bound: run: bellpull broker setup"
SIGNER = generate()
ALL = binding_key()
"""The key of every event about a repository of the examples."""


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    with broker.vhost(VHOST) as name:
        declare(broker, name)
        queue(broker, agent_queue(WEB), agent_key(WEB), vhost=name)
        yield name


class Poisoned(Parcels):
    """Makes one commit's event into what the broker refuses by closing the channel."""

    def event(self, row: Row, key: str, attempt: str, also: Sequence[str] = ()) -> Parcel:
        made = super().event(row, key, attempt, also)
        return replace(made, expires=-timedelta(seconds=1)) if row.commit == commit(666) else made


@dataclass
class Forwarding:
    journal: SqliteJournal
    forwarder: Forwarder

    async def accept(self, *messages: Message) -> None:
        for message in messages:
            delivery = str(message.id)
            await self.journal.accept(
                [message], source=GITHUB, delivery=delivery, body_digest="0" * 64, now=utc_now()
            )

    async def left(self) -> int:
        """Return how much waits, by the disk."""
        return len(await SqliteOutgoing(self.journal.database).waiting(0))

    async def settled(self, within_s: float = 60) -> None:
        """Wait until nothing waits any more, in memory and on disk."""
        try:
            await until(lambda: self.forwarder.waiting == 0, within_s)
        except TimeoutError:
            pytest.fail(f"{self.forwarder.waiting} wait: {self.forwarder.problems()}")
        async with asyncio.timeout(within_s):
            while await self.left():  # noqa: ASYNC110 - it is the disk that is looked at
                await asyncio.sleep(0.02)


async def until(holds: Callable[[], object], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - as somebody who asks /readyz does
            await asyncio.sleep(0.02)


@asynccontextmanager
async def forwarding(
    folder: Path,
    settings: RabbitMQSettings,
    *,
    rights: Sequence[str] = ("github.com/acme/*",),
    agents: Sequence[Name] = (WEB,),
    parcels: type[Parcels] = Parcels,
    answer_s: float = 5.0,
    tick_s: float = 20.0,
    present: Sequence[Name] = (),
    records: Mapping[Name, Sequence[str]] | None = None,
) -> AsyncIterator[Forwarding]:
    async def are_present() -> Sequence[Name]:
        return present

    audience = Audience(dict.fromkeys(agents, rights) if records is None else records)
    async with open_journal(folder / "journal.db", utc_now(), forwards=True) as journal:
        parts = ForwarderParts(
            journal=journal,
            outgoing=SqliteOutgoing(journal.database),
            parcels=parcels(installation=Name("acme"), signer=lambda: SIGNER),
            audience=lambda: audience,
            present=are_present,
            tick_s=tick_s,
            connect=partial(publishing, settings, folder, "bellpull gateway tests", answer_s=answer_s),
            metrics=Metrics(),
        )
        forwarder = Forwarder(parts)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(forwarder.run())
            yield Forwarding(journal, forwarder)
            running.cancel()


async def heard(broker: Broker, name: str, vhost: str = VHOST) -> list[dict[str, Any]]:
    """Return what is in a queue but for ticks."""
    found = await asyncio.to_thread(left_in, broker, name, vhost)
    return [each for each in found if not isinstance(said(each).data, Tick)]


def said(found: dict[str, Any]) -> Message:
    body = found["payload"].encode()
    keys = {SIGNER.kid: PinnedKey(verifier=SIGNER.public)}
    unseal(
        found["properties"]["headers"][SEAL],
        body,
        seal_type=SealType.EVENT,
        audience="acme",
        keys=keys,
        now=utc_now(),
    )
    message = decode(body)
    assert isinstance(message, Message)
    return message


def newest(found: Sequence[dict[str, Any]]) -> dict[str, object]:
    """Return the commit of each ref as who hears this ends."""
    data = [said(each).data for each in found]
    return {each.ref.full: each.after for each in data if isinstance(each, RefUpdated)}


async def test_what_is_accepted_is_heard_sealed_and_waits_no_more(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """R27: sealed when sent; a queue that is bound to it has it once the outbox is empty."""
    await asyncio.to_thread(queue, broker, "all", ALL, vhost=vhost)
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings) as running:
        await running.accept(*(push(number, ref=f"refs/heads/b{number}") for number in range(1, 51)))
        await running.settled()
        assert running.forwarder.problems() == ()
    found = await heard(broker, "all")
    assert newest(found) == {f"refs/heads/b{number}": commit(number) for number in range(1, 51)}
    assert len({each["properties"]["message_id"] for each in found}) == len(found)
    assert found[0]["properties"]["headers"]["cloudEvents_type"] == "dev.bellpull.ref.updated.v1"


async def test_a_backlog_goes_as_one_message_a_ref(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """R13; a restart finds on disk what the broker did not confirm (P1)."""
    await asyncio.to_thread(queue, broker, "all", ALL, vhost=vhost)
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    nowhere = settings.model_copy(update={"url": "amqp://127.0.0.1:1"})
    async with forwarding(tmp_path, nowhere) as running:
        await running.accept(*(push(number, ref=f"refs/heads/b{number % 3}") for number in range(1, 61)))
        await until(lambda: running.forwarder.waiting == 60)
        (problem,) = running.forwarder.problems()
        assert problem.startswith("the broker cannot be reached (127.0.0.1:1: connection refused): 60 events wait")
    async with forwarding(tmp_path, settings) as running:
        await running.settled()
    found = await heard(broker, "all")
    assert newest(found) == {f"refs/heads/b{number % 3}": commit(number) for number in (58, 59, 60)}
    assert len(found) == 3


async def test_what_nobody_wants_is_done_and_what_somebody_wants_is_not(
    broker: Broker, vhost: str, tmp_path: Path
) -> None:
    """R6, X10: after a rebuilt broker everything comes back; that is never taken for success."""
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, agents=(LATE,)) as running:
        await running.accept(push(1, path="other/thing"), push(2))
        await until(lambda: "events about github.com/acme/site" in "".join(running.forwarder.problems()))
        assert running.forwarder.waiting == 1
        await asyncio.to_thread(queue, broker, "all", ALL, vhost=vhost)
        await running.settled()
        assert running.forwarder.problems() == (UNBOUND,)
    assert newest(await heard(broker, "all")) == {"refs/heads/main": commit(2)}


async def test_an_agent_without_a_queue_is_named_and_keeps_nobody_waiting(
    broker: Broker, vhost: str, tmp_path: Path
) -> None:
    """R21: seen before the first row goes, without any right on agents' queues."""
    await asyncio.to_thread(queue, broker, "all", ALL, vhost=vhost)
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, agents=(WEB, LATE)) as running:
        await running.accept(push(1))
        await running.settled()
        assert running.forwarder.problems() == (UNBOUND,)


async def test_a_missing_exchange_parks_nothing(broker: Broker, tmp_path: Path) -> None:
    """R6: what is wrong with the topology is no fault of a row."""
    with broker.vhost("bare"):
        settings = await asyncio.to_thread(login, broker, tmp_path, "bare")
        async with forwarding(tmp_path, settings) as running:
            await running.accept(push(1))
            await until(lambda: "bellpull.events" in running.forwarder.problems()[0])
            await asyncio.sleep(2)
            await asyncio.to_thread(declare, broker, "bare")
            await asyncio.to_thread(queue, broker, "all", ALL, vhost="bare")
            await running.settled()
        assert len(await heard(broker, "all", "bare")) == 1


async def test_what_is_for_everybody_reaches_each_agent_once(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """R1: a resync of everything; the one agent without a queue does not make the others look again and again."""
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    event = Message(id=push(1).id, source="/gateway", time=utc_now(), data=Resync(reason="away"))  # type: ignore[arg-type]
    async with forwarding(tmp_path, settings, agents=(WEB, LATE)) as running:
        await running.accept(event)
        await until(lambda: any("all repositories" in each for each in running.forwarder.problems()))
        await asyncio.sleep(1.5)
        await asyncio.to_thread(queue, broker, agent_queue(LATE), agent_key(LATE), vhost=vhost)
        await running.settled()
    assert [said(each).id for each in await heard(broker, agent_queue(WEB))] == [event.id]
    assert [said(each).id for each in await heard(broker, agent_queue(LATE))] == [event.id]


async def test_one_that_the_broker_cannot_take_is_parked_and_all_others_are_heard(
    broker: Broker, vhost: str, tmp_path: Path
) -> None:
    """R6: it closes the channel, with all that is in flight; a restart does not send it again."""
    await asyncio.to_thread(queue, broker, "all", ALL, vhost=vhost)
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings, parcels=Poisoned) as running:
        await running.accept(*(push(n, ref=f"refs/heads/b{n}") for n in (1, 2, 3, 666, 4, 5, 6)))
        await running.settled()
        await until(lambda: len(running.forwarder.problems()) == 1)
        (problem,) = running.forwarder.problems()
        assert problem == "1 events are parked, as the broker refuses each of them: 4"
    found = await heard(broker, "all")
    assert newest(found) == {f"refs/heads/b{n}": commit(n) for n in range(1, 7)}
    async with forwarding(tmp_path, settings, parcels=Poisoned) as running:
        await running.accept(push(7))
        await running.settled()
        assert len(running.forwarder.problems()) == 1


async def test_what_a_full_queue_refuses_is_sent_until_taken(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """R6: a nack is no success; there may be room later."""
    await asyncio.to_thread(queue, broker, "all", ALL, vhost=vhost, max_length=1, overflow="reject-publish")
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    seen: list[dict[str, Any]] = []
    async with forwarding(tmp_path, settings) as running:
        await running.accept(*(push(n, ref=f"refs/heads/b{n}") for n in range(1, 7)))
        async with asyncio.timeout(60):
            while running.forwarder.waiting:
                await asyncio.sleep(0.3)
                seen += await heard(broker, "all")
    seen += await heard(broker, "all")
    assert newest(seen) == {f"refs/heads/b{n}": commit(n) for n in range(1, 7)}
