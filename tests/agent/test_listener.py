"""What the listener tells of connections, on a queue that ends whenever it has said one thing."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.state import StateFolder
from agent.app import listener as module
from agent.app.listener import Listener
from agent.core.hear import Ack
from agent.core.reconnect import Pauses
from agent.ports.queue import AccessRefusedError, Connected, QueueError
from bellpull.contract.cursor import Cursor
from bellpull.contract.event import Tick
from bellpull.contract.message import Message, encode
from bellpull.contract.seal import PinnedKey, SealType, seal
from bellpull.contract.standing import Standing
from bellpull.contract.stream import Frame, MessageFrame, Receipt, TickFrame
from bellpull.contract.text import MessageId, Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.jose import Ed25519Signer, generate
from tests.suites.transport import until


class Brief:
    """A queue whose connections speak once and end, each in its way; after the last one it stands."""

    silence = timedelta(minutes=1)

    def __init__(self, *endings: QueueError | None) -> None:
        self._endings = list(endings)
        self._seq = 0

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        raise NotImplementedError

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame | Connected, None]:
        assert cursor is None or cursor.seq == self._seq
        self._seq += 1
        yield TickFrame(cursor=Cursor(epoch="x" * 16, seq=self._seq))
        if not self._endings:
            await asyncio.Event().wait()
        if (ending := self._endings.pop(0)) is not None:
            raise ending

    async def send(self, seal: str, body: bytes) -> Receipt:
        raise NotImplementedError

    async def standing(self) -> Standing | None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pauses, "pause_s", lambda *_, **__: 0.005)


async def test_every_frame_and_every_loss_is_told(tmp_path: Path) -> None:
    """What `Hearing` is judged by: when the gateway was heard last, and why it is not heard now."""
    told: list[str] = []
    endings = (None, QueueError("cut"), AccessRefusedError("not enrolled"))
    listener = Listener(
        queue=Brief(*endings),
        state=StateFolder(tmp_path),
        installation="acme",
        agent="web-1",
        keys=dict,
        take=lambda *_: None,
        resync=lambda _: None,
        connected=lambda: told.append("connected"),
        heard=lambda _: told.append("heard"),
        lost=told.append,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(listener.run())
        await until(lambda: told.count("heard") == 4, lambda: str(told))
        running.cancel()
    spoke = ["connected", "heard"]
    assert told == [*spoke, "the gateway ended the connection", *spoke, "cut", *spoke, "not enrolled", *spoke]


async def test_a_look_at_everything_that_comes_too_soon_is_put_off_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: after a reconnect, at most once in five minutes; what may have been missed is looked for in the end."""
    assert timedelta(minutes=5) == module._RESYNC_EVERY
    monkeypatch.setattr(module, "_RESYNC_EVERY", timedelta(seconds=1.5))
    told: list[float] = []
    clock = asyncio.get_running_loop().time
    listener = Listener(
        queue=Brief(None, None, None, None),
        state=StateFolder(tmp_path),
        installation="acme",
        agent="web-1",
        keys=dict,
        take=lambda *_: None,
        resync=lambda _: told.append(clock()),
        connected=lambda: None,
        heard=lambda _: None,
        lost=lambda _: None,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(listener.run())
        await until(lambda: len(told) == 2, lambda: f"told {len(told)} times")
        await asyncio.sleep(0.1)
        running.cancel()
    assert len(told) == 2
    assert told[1] - told[0] >= 1.4


class Sealed(Brief):
    """Yields messages, and stays."""

    def __init__(self, *frames: MessageFrame) -> None:
        super().__init__()
        self._frames = frames
        self.settled: list[Ack] = []

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame | Connected, None]:
        assert cursor is None
        yield Connected()
        for frame in self._frames:
            yield frame
        await asyncio.Event().wait()

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        assert frame in self._frames
        self.settled.append(ack)


def tick(signer: Ed25519Signer, *, agent: str = "web-1", age: timedelta = timedelta()) -> MessageFrame:
    data = Tick(agent=Name(agent), sent=0)
    body = encode(Message(id=MessageId("t"), source="/gateway", time=utc_now(), data=data))
    sealed = seal(body, seal_type=SealType.EVENT, audience="acme", now=utc_now() - age, signer=signer)
    return MessageFrame(cursor=Cursor(epoch="x" * 16, seq=1), seal=sealed, body=body)


KEY = generate()


@pytest.mark.parametrize(
    ("comes", "acks", "expected"),
    [
        pytest.param(lambda: tick(KEY), [Ack.ACK], ["heard"], id="its own tick"),
        pytest.param(
            lambda: tick(KEY, age=timedelta(days=7)),
            [Ack.ACK],
            ["what comes was sealed"],
            id="an old one",
        ),
        pytest.param(lambda: tick(KEY, agent="web-2"), [Ack.ACK], ["what comes is for web-2"], id="another agent's"),
        pytest.param(
            lambda: tick(generate()),
            [Ack.DEAD_LETTER],
            ["look: an event was sealed with a key that is not pinned here"],
            id="by a key that is not pinned",
        ),
    ],
)
async def test_what_a_message_shows(
    tmp_path: Path, comes: Callable[[], MessageFrame], acks: list[Ack], expected: list[str]
) -> None:
    """R31, and R27: pinned keys that are behind a rotation cost a look at everything, and no event."""
    told: list[str] = []
    queue = Sealed(comes())
    listener = Listener(
        queue=queue,
        state=StateFolder(tmp_path),
        installation="acme",
        agent="web-1",
        keys=lambda: {KEY.kid: PinnedKey(verifier=KEY.public)},
        take=lambda *_: None,
        resync=lambda reason: told.append(f"look: {reason}"),
        connected=lambda: told.append("connected"),
        heard=lambda _: told.append("heard"),
        lost=told.append,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(listener.run())
        await until(lambda: queue.settled == acks, lambda: str(told))
        running.cancel()
    assert ["connected", *expected] == [each.partition(" 6048")[0] for each in told]
