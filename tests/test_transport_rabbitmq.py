"""RabbitMQ keeps what every transport does (P12)."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.ports.queue import QueueError
from bellpull.runtime.metrics import Metrics
from gateway.app.config import JournalSettings
from gateway.app.storage import open_storage
from tests.gateway.examples import WEB, report
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.rabbitmq import Broker
from tests.suites.rabbitmq import Brokered, brokered
from tests.suites.transport import TransportSuite, seed

__all__ = ["seed"]


class TestRabbitMQ(TransportSuite):
    @pytest.fixture
    def installation(self, broker: Broker) -> Iterator[Installed]:
        with installed(broker, "transport", {WEB: ["github.com/acme/site"]}, GATEWAY) as made:
            yield made

    @pytest.fixture
    async def harness(self, installation: Installed, tmp_path: Path) -> AsyncIterator[Brokered]:
        async with brokered(tmp_path, installation) as made:
            yield made

    async def test_a_report_that_no_gateway_hears_is_not_taken_for_sent(self, harness: Brokered) -> None:
        """The broker confirms what goes nowhere; said again once a gateway is there, it counts."""
        seal, body = harness.seal(report(1))
        await harness.stop()
        with pytest.raises(QueueError, match="no gateway hears"):
            await harness.queue.send(seal, body)
        await harness.start()
        await harness.queue.send(seal, body)
        assert await harness.counted(report(1)) == 1


async def test_a_journal_in_place_of_one_that_was_lost_has_all_look_at_everything(tmp_path: Path) -> None:
    """P1, R1: who listens to a broker does not find out by itself; nobody is told by a gateway that is new."""
    for told in (0, 1, 1):
        async with open_storage(tmp_path, JournalSettings(), Metrics(), forwards=True) as storage:
            rows = await storage.journal.page(0)
            assert [row.type for row in rows] == ["dev.bellpull.resync.v1"] * told
            assert await storage.outgoing.left() == told
        if not told:
            for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
                (tmp_path / name).unlink(missing_ok=True)
