"""An agent at a RabbitMQ that is short of memory: what is published waits, and nothing is lost (P1).

An agent publishes on the connection on which it hears, so that with the alarm its acknowledgements wait, too.
"""

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from agent.core.reconnect import Pauses
from agent.ports.queue import QueueError
from tests import soak
from tests.gateway.examples import WEB, report
from tests.gateway.topologies import GATEWAY, installed
from tests.parts.rabbitmq import Broker
from tests.suites.rabbitmq import Brokered, brokered
from tests.suites.transport import Ears

pytestmark = pytest.mark.timeout(400)


def _may_have(node: Broker, folder: Path, limit: str, *, alarm: bool) -> None:
    """Set how much memory the node may have, and wait until it finds that too little, or enough. Blocks."""
    node.rabbitmqctl(folder)
    subprocess.run([folder / "rabbitmqctl", "set_vm_memory_high_watermark", *limit.split()], check=True)
    end = time.monotonic() + 60
    while bool(node.ask("GET", "nodes")[0].get("mem_alarm")) is not alarm:
        assert time.monotonic() < end
        time.sleep(0.1)


async def _say(harness: Brokered, said: list[str]) -> None:
    """Send one report as the reporter does, and note each time that it was not taken."""
    seal, body = harness.seal(report(1))
    while True:
        try:
            await harness.queue.send(seal, body)
        except QueueError as error:
            said.append(str(error))
            await asyncio.sleep(0.1)
        else:
            return


async def test_a_broker_short_of_memory_holds_up_an_agent_and_loses_nothing(
    rabbitmq: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is accepted meanwhile waits in the journal, and a report with the agent; both go once there is room."""
    monkeypatch.setattr(Pauses, "pause_s", lambda *_, **__: 0.02)
    before, meanwhile, after = range(1, 30), range(30, 130), range(130, 150)
    with installed(rabbitmq, "alarm", {WEB: ["github.com/acme/site"]}, GATEWAY) as made:
        async with brokered(tmp_path, made) as harness:
            ears = Ears(harness, tmp_path / "agent")
            async with ears.open(), asyncio.TaskGroup() as tasks:
                await ears.accept(*before)
                await ears.hears(*before)
                await asyncio.to_thread(_may_have, rabbitmq, tmp_path, "absolute 1MB", alarm=True)
                said: list[str] = []
                saying = tasks.create_task(_say(harness, said))
                await ears.accept(*meanwhile)
                await asyncio.sleep(3)
                assert not saying.done()
                assert len(set(ears.heard())) == len(before), "it takes nothing"
                await asyncio.to_thread(_may_have, rabbitmq, tmp_path, "0.9", alarm=False)
                await ears.accept(*after)
                await ears.hears(*before, *meanwhile, *after)
                await saying
            assert await harness.counted(report(1)) == 1
            answered, heard = len([*before, *meanwhile, *after]), len(set(ears.heard()))
            soak.record("RabbitMQ short of memory, with an agent", answered=answered, heard=heard, lost=0)
            assert ears.lost() == []
            assert ears.told() == []
