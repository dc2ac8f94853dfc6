"""The examples of observers, as a user runs them, at a real RabbitMQ: they print what is sealed, and no other."""

import asyncio
import re
import shutil
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from threading import Thread

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange

from bellpull.contract.event import RefUpdated
from bellpull.contract.message import Message, encode
from bellpull.contract.report import Report
from bellpull.contract.routing import OUTCOMES, PUSHES, SEAL, routing_key
from bellpull.contract.seal import SealType, seal
from bellpull.contract.text import MessageId
from bellpull.runtime.clock import utc_now
from bellpull.runtime.jose import Ed25519Signer, generate, load_private
from tests.cli.brokers import access, forget
from tests.cli.command import bellpull
from tests.gateway import examples
from tests.parts.rabbitmq import PASSWORD, USER, Broker

pytestmark = pytest.mark.timeout(180)
EXAMPLES = Path(__file__).parent.parent / "docs/examples/observer"
VHOST = "examples"
QUEUE = """
queue:
  rabbitmq: {{url: "{url}", username: examples_gateway, password: {{file: secrets/mq}}}}
"""
PUSH = examples.push(1)
OUTCOME = Message(id=MessageId("r1"), source="//acme/agents/web-1", time=examples.T0, data=examples.report(1))


@pytest.fixture
def gateway(tmp_path: Path, broker: Broker) -> Iterator[Path]:
    """A gateway's folder, where an observer was admitted for each example."""
    assert bellpull("init", tmp_path).code == 0
    with (tmp_path / "gateway.yaml").open("a") as config:
        config.write(QUEUE.format(url=broker.url(VHOST)))
    for name in ("python", "node"):
        words = ("enroll", "--observer", name, "-r", "github.com/acme/site")
        assert bellpull(*words, cwd=tmp_path, env=access(broker, "")).code == 0
    yield tmp_path
    forget(broker, VHOST)


class Running:
    """A program that listens, and what it has printed."""

    def __init__(self, *command: str, cwd: Path) -> None:
        self.lines: list[str] = []
        self._process = Popen(command, cwd=cwd, stdout=PIPE, stderr=STDOUT, text=True)
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(iter(self._process.stdout.readline, ""))
        self._process.stdout.close()

    def until(self, number: int) -> list[str]:
        """Return all lines once there are so many."""
        end = time.monotonic() + 60
        while len(self.lines) < number:
            assert time.monotonic() < end, "".join(self.lines)
            assert self._process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        return [line.rstrip("\n") for line in self.lines]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


@pytest.fixture(params=["python", "node"])
def example(request: pytest.FixtureRequest, gateway: Path, tmp_path: Path) -> Iterator[tuple[str, Running]]:
    """Each of them, in a folder where nothing of bellpull is."""
    place = tmp_path / "example"
    place.mkdir()
    if request.param == "python":
        shutil.copy(EXAMPLES / "observe.py", place)
        running = Running(sys.executable, "-I", "observe.py", str(gateway / "python"), cwd=place)
    else:
        (place / "node_modules").symlink_to(request.getfixturevalue("node_modules"))
        shutil.copy(EXAMPLES / "observe.mjs", place)
        running = Running("node", "observe.mjs", str(gateway / "node"), cwd=place)
    yield request.param, running
    running.end()


class Told:
    """What is published to observers, by default as gateways do it."""

    def __init__(self, key: Ed25519Signer, message: Message = PUSH, body: bytes | None = None) -> None:
        self.message = message
        self.body = encode(message) if body is None else body
        kind = SealType.REPORT if isinstance(message.data, Report) else SealType.EVENT
        self.seal: str | None = self.sealed(key, kind)

    def sealed(
        self, key: Ed25519Signer, kind: SealType, audience: str = "bellpull", age: timedelta = timedelta()
    ) -> str:
        return seal(self.body, seal_type=kind, audience=audience, now=utc_now() - age, signer=key)

    def but(self, seal: str | None) -> "Told":
        """Return it with another seal."""
        self.seal = seal
        return self

    async def publish(self, exchange: AbstractExchange) -> None:
        headers = {} if self.seal is None else {SEAL: self.seal}
        key = routing_key(examples.repository(), examples.MAIN)
        await exchange.publish(aio_pika.Message(self.body, headers={**headers}), key)


async def _tell(broker: Broker, *all_told: Told) -> None:
    url = broker.url(VHOST).replace("amqp://", f"amqp://{USER}:{PASSWORD}@")
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for told in all_told:
            name = OUTCOMES if isinstance(told.message.data, Report) else PUSHES
            await told.publish(await channel.get_exchange(name, ensure=False))


def _forged(key: Ed25519Signer) -> list[Told]:
    """Return one for each thing that has to be looked at, and what is no lie but cannot be read."""
    body = encode(PUSH)
    flipped = body.replace(b"acme/site", b"acmf/site", 1)
    header, _, signature = (Told(key).seal or "").partition("..")
    attached = f"{header}.{urlsafe_b64encode(body).decode().rstrip('=')}.{signature}"
    raw = f"{header}.{body.decode()}.{signature}"
    return [
        Told(generate()),
        Told(key, body=flipped).but(Told(key).seal),
        Told(key, body=flipped).but(attached),
        Told(key, body=flipped).but(raw),
        Told(key).but(Told(key).sealed(key, SealType.EVENT, audience="another")),
        Told(key).but(Told(key).sealed(key, SealType.REPORT)),
        Told(key, OUTCOME).but(Told(key, OUTCOME).sealed(key, SealType.EVENT)),
        Told(key).but(Told(key).sealed(key, SealType.EVENT, age=timedelta(days=8))),
        Told(key).but(Told(key).sealed(key, SealType.EVENT, age=timedelta(hours=-1))),
        Told(key).but(None),
        Told(key).but("x..y"),
        Told(key, body=b"{}"),
        Told(key, body=b"[]"),
        Told(key, body=b"\xff"),
    ]


async def test_what_is_sealed_is_printed_and_what_is_forged_is_refused(
    example: tuple[str, Running], gateway: Path, broker: Broker
) -> None:
    """P4, R27: an observer of any language can tell them apart with the published key file alone."""
    name, running = example
    key = load_private((gateway / "secrets/seal.jwk").read_bytes())
    assert running.until(1) == [f"listening to bellpull.observer.{name}"]
    forged = _forged(key)
    assert isinstance(PUSH.data, RefUpdated)
    hidden = replace(PUSH, data=replace(PUSH.data, actor="x\x1b[2J"))
    await _tell(broker, Told(key), Told(key, OUTCOME), *forged, Told(key, hidden), Told(key))
    lines = running.until(1 + 2 + len(forged) + 2)[1:]
    pushed = f"push github.com/acme/site@refs/heads/main {examples.commit(1)} by octocat"
    assert lines[0] == pushed
    assert lines[1] == f"outcome applied github.com/acme/site {examples.commit(1)} on web-1 default/site"
    refused, rest = lines[2 : 2 + len(forged)], lines[2 + len(forged) :]
    assert [line for line in refused if not re.match("refused: ", line)] == []
    assert rest == [pushed.replace("octocat", "x?[2J"), pushed]


async def test_it_comes_back_when_the_connection_is_lost(
    example: tuple[str, Running], gateway: Path, broker: Broker
) -> None:
    name, running = example
    running.until(1)
    broker.ask("DELETE", f"connections/username/{name}")
    key = load_private((gateway / "secrets/seal.jwk").read_bytes())
    await _tell(broker, Told(key))
    end = time.monotonic() + 60
    while not any(line.startswith("push ") for line in running.lines):
        assert time.monotonic() < end, "".join(running.lines)
        await asyncio.sleep(0.05)
    assert "".join(running.lines).count("listening to") == 2


def test_neither_imports_bellpull() -> None:
    for name in ("observe.py", "observe.mjs"):
        imported = re.findall(r"^(?:import|from)\b.*", (EXAMPLES / name).read_text(), re.MULTILINE)
        assert imported
        assert not [line for line in imported if re.search("bellpull|gateway|agent", line)]


def test_no_lock_file_says_where_it_was_downloaded() -> None:
    assert "http" not in re.sub(r'"url": "https://github.com/.*"', "", (EXAMPLES / "package-lock.json").read_text())
