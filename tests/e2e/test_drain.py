"""`bellpull gateway drain` (R7): a gateway that is to go away, or is gone, leaves nothing of its 202s behind."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellpull.runtime.files import FolderLock
from tests.cli.command import bellpull
from tests.e2e.brokered import RIGHTS, Brokered, brokered, heard, push, served
from tests.gateway.process import Folder, Gateway, ask, eventually
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.breaking import Breaking
from tests.parts.front import free_port
from tests.parts.rabbitmq import Broker

pytestmark = pytest.mark.timeout(180)
NOWHERE = "amqp://127.0.0.1:1"


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "drained", RIGHTS, GATEWAY) as made:
        yield made


def _with_console(folder: Brokered) -> None:
    config = (folder.path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace('console: "127.0.0.1:0"', f'console: "127.0.0.1:{free_port()}"'))


def _state(gateway: Gateway) -> tuple[int, str]:
    answer = ask(f"{gateway.console}/readyz")
    return answer.status, answer.json()["state"]


def _until(gateway: Gateway, state: tuple[int, str]) -> None:
    with eventually(f"it is {state}") as look:
        while _state(gateway) != state:
            look.again()


def _push_until_refused(gateway: Gateway, first: int) -> set[str]:
    """Push to a ref each, from number `first` on, until it says 503; return what was promised."""
    promised: set[str] = set()
    with eventually("no more pushes are taken") as look:
        while (answer := push(gateway, first, ref=f"refs/heads/b{first}")).status == 202:
            promised |= set(answer.json()["events"])
            first += 1
            look.again()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    return promised


async def _until_told(drain: asyncio.subprocess.Process, words: str) -> str:
    """Read what it tells of itself until these words came; return all of that."""
    assert drain.stderr is not None
    told = ""
    async with asyncio.timeout(20):
        while words not in told:
            line = await drain.stderr.readline()
            assert line, f"it ended without telling {words!r}: {told}"
            told += line.decode()
    return told


async def test_a_gateway_that_is_drained_takes_no_more_and_leaves_nothing(
    installation: Installed, tmp_path: Path
) -> None:
    """R7, P1: not ready, pushes for a grace period, then 503; done when RabbitMQ has all; a restart takes pushes."""
    async with Breaking(1) as way:
        url = f"amqp://127.0.0.1:{way.port}/{installation.vhost}"
        folder = Brokered(tmp_path, url, more="drain: {grace: 3s}\n")
        _with_console(folder)
        async with served(folder) as gateway:
            answer = await asyncio.to_thread(push, gateway, 1)
            drain = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bellpull", "gateway", "--config", str(tmp_path / "gateway.yaml"), "drain"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            await asyncio.to_thread(_until, gateway, (503, "draining"))
            promised = await asyncio.to_thread(_push_until_refused, gateway, 2)
            assert len(promised) > 1, "there was no grace"
            assert await asyncio.to_thread(_state, gateway) == (503, "draining")
            assert drain.returncode is None, "it ended although something waits"
            told = await _until_told(drain, f"{len(promised) + 1} events wait for RabbitMQ")
            way.target = installation.broker.port
            said, _ = await drain.communicate()
            assert said.decode().startswith("drained: ")
            assert await drain.wait() == 0
            assert await asyncio.to_thread(_state, gateway) == (503, "drained")
            assert (await asyncio.to_thread(push, gateway, 1000)).status == 503
            assert folder.waiting() == 0
            assert await asyncio.to_thread(gateway.stop) == 0
        async with served(folder) as gateway:
            assert (await asyncio.to_thread(push, gateway, 1001)).status == 202
            assert (await asyncio.to_thread(_state, gateway))[0] == 200
    assert "the broker cannot be reached" in told
    found = {each.message.id for each in await asyncio.to_thread(heard, folder, installation)}
    assert promised | set(answer.json()["events"]) <= found


def test_what_a_gateway_left_behind_is_sent_without_one(installation: Installed, tmp_path: Path) -> None:
    """R7: its volume is there, and nobody runs on it any more."""
    folder = Brokered(tmp_path, NOWHERE)
    with folder.running() as gateway:
        promised = {push(gateway, number, ref=f"refs/heads/b{number}").json()["events"][0] for number in range(20)}
        gateway.stop(signal.SIGKILL)
    again = brokered(tmp_path, installation, like=folder)
    for _ in range(2):
        drained = bellpull("gateway", "--config", tmp_path / "gateway.yaml", "drain")
        assert (drained.code, drained.out.partition(":")[0]) == (0, "drained")
    assert again.waiting() == 0
    assert promised <= {each.message.id for each in heard(again, installation)}


def test_what_cannot_be_drained_is_said(installation: Installed, tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()
    embedded = Folder(tmp_path / "embedded")
    none = bellpull("gateway", "--config", embedded.path / "gateway.yaml", "drain")
    assert (none.code, none.err.partition(":")[0]) == (1, "queue is not configured")
    folder = brokered(tmp_path, installation)
    never = bellpull("gateway", "--config", tmp_path / "gateway.yaml", "drain")
    assert (never.code, "did the gateway ever run" in never.err) == (1, True)
    (folder.path / "data").mkdir()
    with FolderLock(folder.path / "data"):
        silent = bellpull("gateway", "--config", tmp_path / "gateway.yaml", "drain")
    assert silent.code == 1
    assert "does not say how far the gateway is" in silent.err
