"""What every transport between gateway and agents keeps, whatever breaks (P1, P12).

A transport's test module has a class that inherits from `TransportSuite`, and a fixture `harness`. The suite drives
the agent's own listener on the agent's end, so what it looks at is what an inbox sees: events, resyncs, and where the
agent stood when it was kept.

The law: whatever was accepted is heard, or a resync that is told after it was accepted covers it. Where nothing but
connections and processes ended, it is heard, without a resync of the transport's. The looks that an agent takes at
everything by itself, when it starts and when it comes back, count only for what the gateway lost from its disk.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

import pytest

from agent.adapters.state import StateFolder
from agent.app import listener as listening
from agent.app.listener import Listener
from agent.core.hear import Ack
from agent.core.reconnect import Pauses
from agent.ports.queue import Connected, Queue, QueueError
from bellpull.contract.cursor import Cursor
from bellpull.contract.event import RefUpdated, Resync
from bellpull.contract.message import Message
from bellpull.contract.report import Report
from bellpull.contract.seal import PinnedKey
from bellpull.contract.standing import Standing
from bellpull.contract.stream import Frame, MessageFrame, Receipt
from tests import soak
from tests.gateway.examples import push, report
from tests.parts.breaking import Break, Cut

__all__ = ["Ears", "Harness", "TransportSuite", "points"]

PATIENCE_S: Final = 30.0
_CUTS: Final = 24
_ROUNDS: Final = 6
_LONG: Final = (pytest.mark.soak, pytest.mark.timeout(1200))
_STARTED: Final = "the agent was started"
_BY_ITSELF: Final = (_STARTED, "the stream was interrupted")
"""What an agent tells itself; a transport that loses anything may not lean on it."""


class Harness(Protocol):
    """One transport, its gateway, and what may happen to them."""

    installation: str
    keys: Mapping[str, PinnedKey]
    """What the gateway seals with."""
    is_exact: bool
    """Whether an event is heard once, and all of them in the order of acceptance, where nothing breaks.

    Over a broker neither is promised: of what waits, the newest goes first (R13), and what was taken just before a
    connection ended may be handed out again. Those of one ref keep their order, which the suite tries everywhere.
    """
    tells: bool
    """Whether the transport tells an agent that what it missed is not kept any more, as for one that is new.

    A broker does not: what left a bounded queue shows nowhere. There an agent's own look covers it, as it was away.
    """
    ends: bytes
    """The byte that ends whatever comes to the agent in one piece."""

    @property
    def queue(self) -> Queue:
        """The agent's end."""
        ...

    async def accept(self, *messages: Message) -> None:
        """Do what the gateway does before it answers 2xx."""
        ...

    async def again(self, *messages: Message) -> None:
        """Have these, which were accepted, come once more to an agent that now opens at a place before them.

        A transport that keeps no places for agents accepts them once more: what was settled is gone from a queue, and
        a place is of no meaning to any connection but its own.
        """
        ...

    def seal(self, data: Report) -> tuple[str, bytes]:
        """Return the agent's seal of a report, and its bytes."""
        ...

    async def counted(self, data: Report) -> int:
        """Return how often the gateway counts this report."""
        ...

    async def restart(self) -> None:
        """End the gateway and start it again, on what it has on disk."""
        ...

    async def back_up(self) -> None:
        """Keep what the gateway has on disk now."""
        ...

    async def restore(self) -> None:
        """Put back what was kept, in place of what there is."""
        ...

    async def empty(self) -> None:
        """Lose what the gateway has on disk."""
        ...

    async def expire(self) -> None:
        """Keep nothing any longer of what was accepted until now."""
        ...

    def cut(self, *cuts: Cut) -> None:
        """Break the connections that are open now, and the agent's next ones as it is said, one each."""
        ...

    def passed(self) -> bytes:
        """Return all that was passed on to the agent until now."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway answered 2xx."""

    id: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The inbox took it; `cursor` is that of its frame."""

    id: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Resynced:
    """The inbox was told to look at everything."""

    reason: str


@dataclass(frozen=True, slots=True)
class Harmed:
    """The gateway lost something from its disk."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The agent's place is on disk."""

    cursor: Cursor


class _Recorded:
    """A queue that remembers the frame that was given last."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.last: Frame | None = None
        self.frames: list[list[Frame]] = []
        """Those of every connection."""

    @property
    def silence(self) -> timedelta:
        return self._queue.silence

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame | Connected, None]:
        frames: list[Frame] = []
        self.frames.append(frames)
        async with aclosing(self._queue.listen(cursor)) as source:
            async for frame in source:
                if not isinstance(frame, Connected):
                    self.last = frame
                    frames.append(frame)
                yield frame

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        await self._queue.settle(frame, ack)

    async def send(self, seal: str, body: bytes) -> Receipt:
        return await self._queue.send(seal, body)

    async def standing(self) -> Standing | None:
        return await self._queue.standing()


class _Folder(StateFolder):
    """The agent's state, which notes when its place is kept."""

    def __init__(self, folder: Path, diary: list[object]) -> None:
        super().__init__(folder)
        self._diary = diary

    async def save_cursor(self, cursor: Cursor) -> None:
        self._diary.append(Kept(cursor))
        await super().save_cursor(cursor)


class Ears:
    """An agent that listens, and keeps a diary of what happened in which order."""

    def __init__(self, harness: Harness, folder: Path) -> None:
        self.harness = harness
        self.diary: list[object] = []
        self.queue = _Recorded(harness.queue)
        self._state = _Folder(folder, self.diary)

    @asynccontextmanager
    async def open(self, cursor: Cursor | None = None) -> AsyncIterator[None]:
        """Listen, from where it stood when it was kept, or from `cursor`, and be there."""
        if cursor is not None:
            await StateFolder.save_cursor(self._state, cursor)
        self.diary.append(Resynced(_STARTED))
        connected = asyncio.Event()
        listener = Listener(
            queue=self.queue,
            state=self._state,
            installation=self.harness.installation,
            agent="web-1",
            keys=lambda: self.harness.keys,
            take=self._take,
            resync=lambda reason: self.diary.append(Resynced(reason)),
            connected=connected.set,
            heard=lambda _: None,
            lost=lambda _: None,
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(listener.run())
            async with asyncio.timeout(PATIENCE_S):
                await connected.wait()
            yield
            running.cancel()

    async def accept(self, *numbers: int) -> None:
        """Have the gateway accept deliveries of these numbers, and note it."""
        for number in numbers:
            message = event(number)
            self.diary.append(Accepted(message.id))  # before: a reset may be told before it is answered
            await self.harness.accept(message)

    async def hears(self, *numbers: int) -> None:
        """Wait until all of these were heard."""
        wanted = {event(number).id for number in numbers}
        await until(lambda: wanted <= set(self.heard()), lambda: f"never heard: {sorted(wanted - set(self.heard()))}")

    async def is_told(self, already: int) -> None:
        """Wait for another resync than those already told, then show that new events are heard."""
        await until(lambda: len(self.told()) > already, lambda: "no resync was told")
        await self.accept(99)
        await self.hears(99)
        await until(lambda: not self.lost(), lambda: f"lost {self.lost()}")

    def heard(self) -> list[str]:
        """Return the ids of all events, as often as they were heard."""
        return [entry.id for entry in self.diary if isinstance(entry, Heard)]

    def told(self) -> list[str]:
        """Return the reasons of all resyncs but those that the agent orders by itself."""
        reasons = [entry.reason for entry in self.diary if isinstance(entry, Resynced)]
        return [reason for reason in reasons if reason not in _BY_ITSELF]

    async def harm(self, how: Callable[[], Awaitable[None]]) -> None:
        """Have the gateway lose something from its disk, and note it."""
        await how()
        self.diary.append(Harmed())

    def lost(self) -> list[str]:
        """Return what was accepted, never heard, and is covered by no later resync."""
        heard, lost = set(self.heard()), []
        looked = covered = False
        for entry in reversed(self.diary):
            match entry:
                case Resynced(reason=reason):
                    looked, covered = True, covered or reason not in _BY_ITSELF
                case Harmed():
                    covered = covered or looked
                case Accepted(id=id_) if id_ not in heard and not covered:
                    lost.append(id_)
                case _:
                    pass
        return lost

    def assert_exactly(self, *numbers: int) -> None:
        """Nothing else was heard, nothing twice, and all in this order; see `Harness.is_exact`."""
        wanted: list[str] = [event(number).id for number in numbers]
        assert set(self.heard()) == set(wanted)
        if self.harness.is_exact:
            assert self.heard() == wanted

    def assert_in_order(self) -> None:
        """Within a connection and an epoch places only rise; none is kept before what it covers was heard."""
        for frames in self.queue.frames:
            for before, after in pairwise(frames):
                if before.cursor.epoch == after.cursor.epoch:
                    assert before.cursor.seq <= after.cursor.seq
        first: dict[Cursor, int] = {}
        for place, entry in enumerate(self.diary):
            if isinstance(entry, Heard):
                first.setdefault(entry.cursor, place)
        for place, entry in enumerate(self.diary):
            if isinstance(entry, Kept):
                early = [cursor for cursor, at in first.items() if at > place and _covers(entry.cursor, cursor)]
                assert not early, f"{entry.cursor} was kept before {early} were heard"

    def _take(self, message: Message, _: datetime) -> None:
        assert self.queue.last is not None
        match message.data:
            case RefUpdated():
                self.diary.append(Heard(message.id, self.queue.last.cursor))
            case Resync(reason=reason):
                self.diary.append(Resynced(reason))
            case _:
                pass


def _covers(cursor: Cursor, other: Cursor) -> bool:
    return cursor.epoch == other.epoch and cursor.seq >= other.seq


async def until(look: Callable[[], bool], says: Callable[[], str]) -> None:
    """Look until it is so."""
    end = monotonic() + PATIENCE_S
    while not look():
        assert monotonic() < end, says()
        await asyncio.sleep(0.005)


def event(number: int) -> Message:
    """Return what delivery `number` says, of a ref of its own: newer events of one ref may stand for older ones."""
    return push(number, ref=f"refs/heads/b{number}")


def points(passed: bytes, chance: random.Random, most: int | None, end: bytes = b"\n") -> list[int]:
    """Return where to cut what was passed: around the ends of all pieces, and anywhere; `most` of them, or all."""
    ends = [place + 1 for place, byte in enumerate(passed) if byte == ord(end)]
    found = {place for end in ends for place in (end - 1, end, end + 1)} | {0, 1, len(passed) // 2}
    found = {place for place in found if place <= len(passed)}
    if most is None:
        return list(range(len(passed) + 1))
    return sorted(chance.sample(sorted(found), min(most, len(found))))


@pytest.fixture
def seed() -> int:
    """What chance begins with; an assertion that fails shows it."""
    return random.getrandbits(32)


class TransportSuite:
    """The suite; a class that inherits from it has a fixture `harness`."""

    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Come back without the pauses that spare a gateway."""
        monkeypatch.setattr(Pauses, "pause_s", lambda *_, **__: 0.005)
        monkeypatch.setattr(listening, "_RESYNC_EVERY", timedelta())

    @pytest.fixture
    def ears(self, harness: Harness, tmp_path: Path) -> Ears:
        return Ears(harness, tmp_path / "agent")

    async def test_what_is_accepted_is_heard_once_and_in_order(self, ears: Ears) -> None:
        async with ears.open():
            for number in range(1, 21):
                await ears.accept(number)
            await ears.hears(*range(1, 21))
        ears.assert_exactly(*range(1, 21))
        assert len(ears.told()) == ears.harness.tells, "at first there is no place to go on from"
        ears.assert_in_order()

    async def test_an_agent_that_was_away_hears_what_came_meanwhile(self, ears: Ears) -> None:
        async with ears.open():
            await ears.accept(1)
            await ears.hears(1)
        told = len(ears.told())
        await ears.accept(2, 3)
        async with ears.open():
            await ears.accept(4)
            await ears.hears(2, 3, 4)
        ears.assert_exactly(*range(1, 5))
        assert len(ears.told()) == told
        ears.assert_in_order()

    @pytest.mark.parametrize("most", [_CUTS, pytest.param(None, marks=_LONG)])
    async def test_what_is_cut_off_on_its_way_to_the_agent_is_heard(
        self, ears: Ears, most: int | None, seed: int
    ) -> None:
        """Behind byte N of what comes, for every kind of N: in the head, between frames, in a frame, behind an id."""
        chance = random.Random(seed)
        begun = await _place(ears)
        answer = await _conversation(ears, begun)
        told = len(ears.told())
        where = points(answer, chance, most, ears.harness.ends)
        for place in where:
            how = chance.choice((Break.END, Break.RESET))
            ears.harness.cut(Cut(to_client=place, how=how))
            async with _once_more(ears, begun, f"seed {seed}, cut behind {place}, {how}"):
                await ears.hears(1, 2, 3)
        assert len(ears.told()) == told, f"seed {seed}"
        ears.assert_in_order()
        soak.record(f"cuts, {type(self).__name__}", rounds=len(where), lost=len(ears.lost()))

    async def test_what_is_cut_off_on_its_way_to_the_gateway_is_asked_again(self, ears: Ears, seed: int) -> None:
        chance = random.Random(seed)
        begun = await _place(ears)
        await _conversation(ears, begun)
        told = len(ears.told())
        for place in (0, 1, *(chance.randrange(2, 250) for _ in range(6))):
            how = chance.choice((Break.END, Break.RESET))
            ears.harness.cut(Cut(to_server=place, how=how))
            async with _once_more(ears, begun, f"seed {seed}, cut behind {place}, {how}"):
                await ears.hears(1, 2, 3)
        assert len(ears.told()) == told, f"seed {seed}"
        ears.assert_in_order()

    async def test_a_connection_that_stalls_is_left(self, ears: Ears, seed: int) -> None:
        """Nobody is told that it is dead: the machine at the other end is gone, or a network forgot it."""
        chance = random.Random(seed)
        begun = await _place(ears)
        answer = await _conversation(ears, begun)
        told = len(ears.told())
        for place in (0, *chance.sample(points(answer, chance, 100, ears.harness.ends), 2)):
            ears.harness.cut(Cut(to_client=place, how=Break.STALL))
            async with _once_more(ears, begun, f"seed {seed}, stalled behind {place}"):
                await ears.hears(1, 2, 3)
        assert len(ears.told()) == told, f"seed {seed}"
        ears.assert_in_order()

    async def test_a_report_counts_once_wherever_its_connection_is_cut(self, harness: Harness, seed: int) -> None:
        """R18: what was perhaps heard is sent again, and is answered the same."""
        chance = random.Random(seed)
        numbers = count(1)
        cuts = [Cut(to_client=place) for place in (0, 1, *(chance.randrange(2, 200) for _ in range(5)))]
        cuts += [Cut(to_server=place) for place in (0, 1, *(chance.randrange(2, 2000) for _ in range(5)))]
        for cut in [*cuts, *(Cut(to_client=cut.to_client, how=Break.RESET) for cut in cuts if cut.to_client)]:
            data = report(number := next(numbers), took=number)
            harness.cut(cut)
            await _send(harness, data)
            assert await harness.counted(data) == 1, f"seed {seed}, {cut}"
        for number in range(1, next(numbers)):
            assert await harness.counted(report(number, took=number)) == 1, f"seed {seed}"

    async def test_the_last_that_is_heard_of_a_ref_is_its_newest(self, ears: Ears, seed: int) -> None:
        """P1: whatever of them is left out, told twice or told again after a fault."""
        chance = random.Random(seed)
        async with ears.open():
            for number in range(1, 41):
                if chance.random() < 0.2:
                    how = chance.choice((Break.END, Break.RESET))
                    ears.harness.cut(Cut(to_client=chance.randrange(3000), how=how))
                elif chance.random() < 0.1:
                    await ears.harness.restart()
                await ears.harness.accept(push(number))
            newest = push(40).id
            await until(lambda: newest in ears.heard(), lambda: f"seed {seed}: the newest was not heard")
            await ears.accept(41)
            await ears.hears(41)
        of_the_ref = [id_ for id_ in ears.heard() if id_ != event(41).id]
        assert of_the_ref[-1] == newest, f"seed {seed}"

    async def test_a_restart_of_the_gateway_loses_nothing(self, ears: Ears) -> None:
        async with ears.open():
            for number in range(1, 11, 2):
                await ears.accept(number)
                await ears.harness.restart()
                await ears.accept(number + 1)
            await ears.hears(*range(1, 11))
            assert len(ears.told()) == ears.harness.tells, "at first there is no place to go on from"
        ears.assert_in_order()

    async def test_a_restored_backup_leads_to_a_resync(self, ears: Ears) -> None:
        """R14: what was accepted after the backup is not there any more; new events are heard."""
        async with ears.open():
            await ears.accept(1)
            await ears.hears(1)
            await ears.harness.back_up()
            await ears.accept(2)
            await ears.hears(2)
            told = len(ears.told())
            await ears.harm(ears.harness.restore)
            await ears.accept(3)
            await ears.is_told(told)
        assert ears.lost() == []

    async def test_an_emptied_journal_leads_to_a_resync(self, ears: Ears) -> None:
        """R14: also where the new one has as many rows."""
        async with ears.open():
            await ears.accept(1, 2)
            await ears.hears(1, 2)
            told = len(ears.told())
            await ears.harm(ears.harness.empty)
            await ears.accept(3, 4)
            await ears.is_told(told)
        assert ears.lost() == []

    async def test_what_is_no_longer_kept_leads_to_a_resync(self, ears: Ears) -> None:
        """R14: an agent that was away for longer than events are kept."""
        async with ears.open():
            await ears.accept(1)
            await ears.hears(1)
        told = len(ears.told())
        await ears.accept(2, 3)
        await ears.harm(ears.harness.expire)
        async with ears.open():
            await ears.accept(4)
            if ears.harness.tells:
                await ears.is_told(told)
            await ears.hears(4)
        assert ears.lost() == []

    @pytest.mark.parametrize("rounds", [_ROUNDS, pytest.param(300, marks=_LONG)])
    async def test_whatever_happens_nothing_is_lost(self, ears: Ears, rounds: int, seed: int) -> None:
        """The law, under faults in any order, with the agent there or away."""
        chance = random.Random(seed)
        numbers = count(1)
        begun = monotonic()
        await ears.harness.back_up()
        for _ in range(rounds):
            if chance.random() < 0.3:
                await _suffer(ears, chance, numbers)
            async with ears.open():
                for _ in range(chance.randrange(1, 4)):
                    await _suffer(ears, chance, numbers)
                await ears.accept(next(numbers))
                await until(lambda: not ears.lost(), lambda: f"seed {seed}: lost {ears.lost()}")
        accepted = sum(isinstance(entry, Accepted) for entry in ears.diary)
        soak.record(
            f"faults, {type(self).__name__}",
            rounds=rounds,
            answered=accepted,
            lost=len(ears.lost()),
            seconds=round(monotonic() - begun),
        )


async def _suffer(ears: Ears, chance: random.Random, numbers: "count[int]") -> None:
    """Let something happen."""
    harness = ears.harness

    async def accept() -> None:
        await ears.accept(*(next(numbers) for _ in range(chance.randrange(1, 4))))

    async def cut() -> None:
        how = chance.choice((Break.END, Break.RESET))
        harness.cut(Cut(to_client=chance.randrange(3000), how=how), Cut(to_server=chance.randrange(400), how=how))

    async def harm() -> None:
        await ears.harm(chance.choice((harness.expire, harness.restore, harness.empty)))

    faults: list[Callable[[], Awaitable[None]]] = [accept, cut, harness.restart, harness.back_up, harm]
    for fault in chance.choices(faults, weights=[6, 6, 3, 1, 2], k=2):
        await fault()


async def _place(ears: Ears) -> Cursor | None:
    """Return where an agent stands before anything was accepted; a broker has no places to stand at."""
    async with ears.open():
        last = ears.queue.last
    return None if last is None else last.cursor


async def _conversation(ears: Ears, begun: Cursor | None) -> bytes:
    """Accept three events, hear them from `begun` on, and return what was passed on."""
    await ears.accept(1, 2, 3)
    before = len(ears.harness.passed())
    async with ears.open(begun):
        await ears.hears(1, 2, 3)
    return ears.harness.passed()[before:]


@asynccontextmanager
async def _once_more(ears: Ears, begun: Cursor | None, what: str) -> AsyncIterator[None]:
    """Listen once more from `begun` on, as if nothing had been heard yet."""
    ears.diary[:] = [entry for entry in ears.diary if not isinstance(entry, Heard | Kept)]
    await ears.harness.again(*map(event, (1, 2, 3)))
    try:
        async with ears.open(begun):
            yield
    except* (AssertionError, TimeoutError) as errors:
        raise AssertionError(f"{what}: {errors.exceptions}") from errors


async def _send(harness: Harness, data: Report) -> Receipt:
    """Send one report as the reporter does: the same bytes again until they are answered."""
    seal, body = harness.seal(data)
    end = monotonic() + PATIENCE_S
    while True:
        try:
            return await harness.queue.send(seal, body)
        except QueueError:
            assert monotonic() < end
            await asyncio.sleep(0.005)
