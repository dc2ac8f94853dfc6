"""What RabbitMQ between gateway and agents costs: pushes a second, the way of one, and one to very many."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from bellpull.contract.text import Name
from bellpull.runtime.jose import generate, public_jwk
from tests.bench.figure import Figure, Ratio, Section, median, percentile
from tests.bench.resident import resident_mib
from tests.e2e.brokered import Brokered
from tests.gateway.github import headers, payload
from tests.gateway.process import Folder, Gateway
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts import rabbitmq
from tests.parts.rabbitmq import Broker

__all__ = ["measure"]

_PATIENCE_S: Final = 120.0
_CONFIRMED_BUDGET: Final = 1000.0
_RATE: Final = 100
_HOPS: Final = 300
_SIZES: Final = (10, 50, 200)
_EVENTS: Final = 10
_PROCESSES: Final = 4
_MANY: Final = 10_000

_HOW: Final = f"""\
A RabbitMQ 3.10 node, the gateway, agents and the load, all on the same cores. *Confirmed*: the load of "Accepting a
push" against a gateway that forwards; counted is what was accepted, until RabbitMQ has confirmed the newest of each
ref (the others fold into it). *One push*: {_RATE} a second, each of a ref of its own, from its webhook's first byte
until the agent's inbox has it; its floor is the 202. *To many*: one push, until the inbox of the last of N agents has
it, of whom each has a quorum queue, a user and a connection of its own; {_PROCESSES} processes, nothing reconciles;
medians of {_EVENTS} pushes. What RabbitMQ holds is what its memory grew by, in MiB."""


def measure() -> Section:
    """Run a node, and everything against it."""
    program = rabbitmq.find()
    if program is None:
        rabbitmq.install()
        program = rabbitmq.find()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="bellpull-bench-") as folder:
        broker = Broker(program, Path(folder) / "node")
        broker.start()
        try:
            figures = (_confirmed(broker), _hop(broker), *_fan_out(broker))
        finally:
            broker.kill()
    return Section(title="Over RabbitMQ", how=_HOW, figures=figures)


@dataclass(slots=True)
class _World:
    """A gateway at a broker, with agents that may listen."""

    folder: Brokered
    gateway: Gateway
    installation: Installed
    agents: Sequence[Name]
    ears: list[IO[bytes]] = field(default_factory=list)
    sent: int = 0

    async def push(self, session: aiohttp.ClientSession) -> tuple[str, float, float]:
        """Push a commit to a ref of its own; returns it, when its webhook was sent, and when that was answered."""
        self.sent += 1
        commit = f"{self.sent:040x}"
        body = orjson.dumps(payload(ref=f"refs/heads/b{self.sent}", after=commit))
        fields = {key.decode(): value.decode() for key, value in headers(body)}
        fields["X-GitHub-Delivery"] = f"d{self.sent}"
        sent = time.monotonic()
        async with session.post(f"{self.gateway.hooks}/hooks/github", data=body, headers=fields) as answer:
            assert answer.status == 202
        return commit, sent, time.monotonic()

    def heard(self, commits: int) -> dict[str, float]:
        """Return when the last agent heard each of so many commits."""
        times: dict[str, float] = {}
        for ears in self.ears:
            for _ in range(commits):
                said = orjson.loads(ears.readline())
                times[said["commit"]] = max(times.get(said["commit"], 0.0), said["at"])
        return times


@contextmanager
def _world(broker: Broker, agents: Sequence[Name], *, listen: bool = True) -> Iterator[_World]:
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellpull-bench-")))
        rights = {agent: ["github.com/acme/*"] for agent in agents}
        installation = stack.enter_context(installed(broker, f"bench-{len(agents)}", rights, GATEWAY))
        folder = Brokered(path, broker.url(installation.vhost))
        for agent in agents:
            folder.write(f"agents/{agent}.yaml", json.dumps(_record(agent)))
        gateway = stack.enter_context(folder.running())
        made = _World(folder, gateway, installation, agents)
        if listen:
            made.ears = [stack.enter_context(_ears(made, some)) for some in _shares(agents)]
            for ears in made.ears:
                assert b"listening" in ears.readline()
        yield made


def _record(agent: Name) -> dict[str, Any]:
    return {
        "agent": agent,
        "environments": ["production"],
        "repositories": ["github.com/acme/*"],
        "token": {"sha256": f"{abs(hash(agent)):064x}"[-64:]},
        "keys": [public_jwk(generate().public)],
    }


def _shares(agents: Sequence[Name]) -> list[Sequence[Name]]:
    return [share for number in range(_PROCESSES) if (share := agents[number::_PROCESSES])]


@contextmanager
def _ears(world: _World, agents: Sequence[Name]) -> Iterator[IO[bytes]]:
    settings = {
        "url": world.installation.broker.url(world.installation.vhost),
        "installation": "acme",
        "seal": public_jwk(world.folder.seal.public),
        "agents": list(agents),
    }
    command = [sys.executable, "-m", "tests.bench.hearing", json.dumps(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.stdin.close()
            process.wait(_PATIENCE_S)


def _confirmed(broker: Broker) -> Figure:
    with tempfile.TemporaryDirectory(prefix="bellpull-bench-") as place:
        folder = Folder(Path(place))
        with folder.running() as gateway:
            _load(gateway)
        floor, _ = _accepted(folder)
    with _world(broker, [Name("web-1")], listen=False) as world:
        _load(world.gateway)
        ended = time.monotonic()
        while world.folder.waiting():
            assert time.monotonic() - ended < _PATIENCE_S
            time.sleep(0.01)
        late_s = time.monotonic() - ended
        rate, number = _accepted(world.folder, late_s)
    return Figure(
        subject="pushes accepted and confirmed",
        floor="accepted, without RabbitMQ",
        seen=f"{number} pushes, {rate:.0f}/s; all confirmed {late_s * 1000:.0f} ms after the last was accepted",
        ratios=(
            Ratio(name="rate", value=rate / floor),
            Ratio(name="confirmed", value=rate, unit="/s", budget=_CONFIRMED_BUDGET, at_least=True),
        ),
    )


def _load(gateway: Gateway) -> None:
    port = str(urlsplit(gateway.hooks).port)
    command = [sys.executable, "-m", "tests.bench.load", "127.0.0.1", port]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=_PATIENCE_S)


def _accepted(folder: Folder, more_s: float = 0.0) -> tuple[float, int]:
    """Return how many pushes a second were accepted while any came and `more_s` longer, and how many in all."""
    with closing(sqlite3.connect(folder.path / "data" / "journal.db")) as disk:
        ((number, first, last),) = disk.execute("SELECT count(*), min(accepted), max(accepted) FROM events")
    return number / ((last - first) / 1e6 + more_s), number


def _hop(broker: Broker) -> Figure:
    with _world(broker, [Name("web-1")]) as world:
        sent = asyncio.run(_pushes(world, _HOPS, 1 / _RATE))
        heard = world.heard(_HOPS)
    hops = [heard[commit] - begun for commit, begun, _ in sent]
    answers = [answered - begun for _, begun, answered in sent]
    p50, p99 = percentile(hops, 50), percentile(hops, 99)
    return Figure(
        subject=f"one push, at {_RATE} a second",
        floor="its 202",
        seen=f"{_HOPS} pushes",
        ratios=(
            Ratio(name="p50", value=p50 / percentile(answers, 50)),
            Ratio(name="p50", value=p50 * 1000, unit="ms"),
            Ratio(name="p99", value=p99 / percentile(answers, 99)),
            Ratio(name="p99", value=p99 * 1000, unit="ms"),
        ),
    )


async def _pushes(world: _World, number: int, apart_s: float) -> list[tuple[str, float, float]]:
    """Send so many pushes, each so long after the one before was sent, whenever that is answered."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        sent = []
        for _ in range(number):
            sent.append(tasks.create_task(world.push(session)))
            await asyncio.sleep(apart_s)
    return [each.result() for each in sent]


def _fan_out(broker: Broker) -> tuple[Figure, ...]:
    found = {size: _to_many(broker, size) for size in _SIZES}
    return tuple(_many(size, found) for size in _SIZES[1:])


@dataclass(frozen=True, slots=True)
class _Many:
    last_s: float
    broker_mib: float
    gateway_mib: float


def _to_many(broker: Broker, size: int) -> _Many:
    before = _memory_mib(broker)
    with _world(broker, [Name(f"agent-{number}") for number in range(size)]) as world:
        sent = asyncio.run(_pushes(world, _EVENTS, 0.5))
        heard = world.heard(_EVENTS)
        return _Many(
            median(heard[commit] - begun for commit, begun, _ in sent),
            _memory_mib(broker) - before,
            resident_mib(world.gateway.process.pid),
        )


def _many(size: int, found: dict[int, _Many]) -> Figure:
    least, one = found[_SIZES[0]], found[size]
    agents = size - _SIZES[0]
    each_ms, each_mib = (one.last_s - least.last_s) / agents * 1000, (one.broker_mib - least.broker_mib) / agents
    model = f"for {_MANY} agents by the same slope: {each_ms * _MANY / 1000:.0f} s, {each_mib * _MANY / 1024:.1f} GiB"
    return Figure(
        subject=f"one push to {size} agents",
        floor=f"to {_SIZES[0]}",
        seen=f"{one.last_s * 1000:.0f} ms until the last, {each_ms:.2f} ms each; RabbitMQ holds "
        f"{one.broker_mib:.0f} MiB, {each_mib:.2f} each; the gateway {one.gateway_mib:.0f} in all; {model}",
        ratios=(Ratio(name="time", value=one.last_s / least.last_s),),
    )


def _memory_mib(broker: Broker) -> float:
    (node,) = broker.ask("GET", "nodes")
    return float(node["mem_used"]) / 2**20
