"""The broker of the tests: a node of its own, that comes back with what was kept, and is gone afterwards."""

import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.parts.rabbitmq import Broker

pytestmark = pytest.mark.timeout(400)


def test_what_is_durable_is_there_again_after_a_kill(rabbitmq: Broker) -> None:
    queue = f"queues/{quote('/', safe='')}/q"
    rabbitmq.ask("PUT", queue, {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    rabbitmq.kill()
    assert _left_of(rabbitmq.folder) == []
    rabbitmq.start()
    assert rabbitmq.ask("GET", queue)["type"] == "quorum"


def test_a_virtual_host_is_gone_with_its_test(broker: Broker) -> None:
    with broker.vhost("one/of its own") as name:
        assert name in {each["name"] for each in broker.ask("GET", "vhosts")}
    assert name not in {each["name"] for each in broker.ask("GET", "vhosts")}


def test_it_has_a_name_and_a_port_mapper_of_its_own_and_listens_on_loopback_only(broker: Broker) -> None:
    (node,) = broker.ask("GET", "nodes")
    assert node["name"] == f"bellpull{broker.port}@localhost"
    assert {_listening_at(port) for port in (broker.port, urlsplit(broker.management).port or 0)} == {"0100007F"}
    environment = Path(f"/proc/{(broker.folder / 'pid').read_text().strip()}/environ").read_bytes().split(b"\0")
    assert not any(each == b"ERL_EPMD_PORT=4369" for each in environment)


def test_nothing_of_it_is_left_when_it_was_stopped(rabbitmq_program: Path, tmp_path: Path) -> None:
    broker = Broker(rabbitmq_program, tmp_path / "node")
    broker.start()
    broker.stop()
    assert _left_of(broker.folder) == []


def _listening_at(port: int) -> str:
    """Return the address at which a port is listened at over IPv4, as the kernel writes it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (address,) = {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    return address


def _left_of(folder: Path) -> list[str]:
    """Return the processes that were told of a folder and do not end: what the node started ends soon after it."""
    end = time.monotonic() + 20
    while (left := _processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _processes_of(folder: Path) -> list[str]:
    needle = str(folder).encode()
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if needle in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
