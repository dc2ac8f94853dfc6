"""The listener for agents, over real HTTP on a journal and a state on disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE, Data, Message, decode, encode
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.seal import PinnedKey, SealType, seal, unseal
from bellpull.contract.stream import (
    EVENTS_PATH,
    REPORTS_PATH,
    SEAL_HEADER,
    Frame,
    FrameReader,
    MessageFrame,
    ResetFrame,
    TickFrame,
)
from bellpull.contract.text import MessageId, Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.config import Address
from bellpull.runtime.http import serve
from bellpull.runtime.jose import Ed25519Signer, generate, public_jwk
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.state import SqliteState, open_state
from gateway.app import streams as module
from gateway.app.agents import AgentsParts, agents_app
from gateway.app.enrolment import Enrolment, Enrolments, TokenHash
from tests.gateway.examples import GITHUB, T0, WEB, canary, heartbeat, push, report, seconds, sync_state

ACME = Name("acme")
TOKEN = "bpa_web-1_" + "s" * 43
GATEWAY_KEY, AGENT_KEY, OTHER_KEY = generate(), generate(), generate()


def record(*repositories: str, token: str = TOKEN, agent: Name = WEB, key: Ed25519Signer = AGENT_KEY) -> Enrolment:
    return Enrolment(
        agent=agent,
        environments=(Name("production"),),
        repositories=repositories or ("github.com/acme/site",),
        token=TokenHash(sha256=sha256(token.encode()).hexdigest()),
        keys=(public_jwk(key.public),),
    )


@dataclass(slots=True)
class Gateway:
    """A listener with its parts; `records` may be changed while it runs."""

    journal: SqliteJournal
    state: SqliteState
    session: aiohttp.ClientSession
    records: dict[Name, Enrolment]
    url: str = ""

    async def push(self, *messages: Message) -> None:
        delivery = messages[0].data.delivery.id  # type: ignore[union-attr]  # the examples have one
        await self.journal.accept(messages, source=GITHUB, delivery=delivery, body_digest="0" * 64, now=utc_now())

    def cursor(self, seq: int) -> Cursor:
        return Cursor(epoch=self.journal.epoch, seq=seq)

    @asynccontextmanager
    async def stream(self, cursor: Cursor | str | None = None, token: str = TOKEN) -> AsyncIterator["Stream"]:
        headers = {"Authorization": f"Bearer {token}"}
        if cursor is not None:
            headers["Last-Event-ID"] = str(cursor)
        async with self.session.get(self.url + EVENTS_PATH, headers=headers) as response:
            yield Stream(response)

    async def report(
        self,
        data: Data,
        *,
        token: str = TOKEN,
        signer: Ed25519Signer = AGENT_KEY,
        audience: str = "acme",
        age: timedelta = timedelta(),
    ) -> tuple[int, dict[str, object]]:
        body = encode(Message(id=MessageId("m1"), source="//acme/agents/web-1", time=T0, data=data))
        sealed = seal(
            body,
            seal_type=SealType.REPORT,
            audience=audience,
            now=utc_now() - age,
            signer=signer,
        )
        return await self.post(body, {SEAL_HEADER: sealed}, token=token)

    async def post(
        self, body: bytes, headers: dict[str, str], *, token: str = TOKEN
    ) -> tuple[int, dict[str, object]]:
        sent = {"Authorization": f"Bearer {token}", "Content-Type": MEDIA_TYPE, **headers}
        async with self.session.post(self.url + REPORTS_PATH, data=BytesIO(body), headers=sent) as response:
            return response.status, await response.json()


class Stream:
    """What an agent reads."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._reader = FrameReader()
        self._frames: list[Frame] = []

    async def next(self) -> Frame | None:
        """Return the next frame; None at the end of the stream."""
        while not self._frames:
            async with asyncio.timeout(20):
                chunk = await self.response.content.readany()
            if not chunk:
                return None
            self._frames += self._reader.feed(chunk)
        return self._frames.pop(0)

    async def message(self) -> tuple[int, MessageId]:
        """Return the number and the id of the next frame but ticks, which is a message with a good seal."""
        frame = await self.next()
        while isinstance(frame, TickFrame):
            frame = await self.next()
        assert isinstance(frame, MessageFrame)
        keys = {GATEWAY_KEY.kid: PinnedKey(verifier=GATEWAY_KEY.public)}
        sealed = unseal(frame.seal, frame.body, seal_type=SealType.EVENT, audience="acme", keys=keys, now=utc_now())
        return frame.cursor.seq, MessageId(decode(sealed.body).id)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        open_journal(tmp_path / "journal.db", T0) as journal,
        open_state(tmp_path / "state.db") as state,
        aiohttp.ClientSession() as session,
    ):
        made = Gateway(journal=journal, state=state, session=session, records={WEB: record()})
        async with serving(made):
            yield made


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[None]:
    parts = AgentsParts(
        installation=ACME,
        journal=gateway.journal,
        state=gateway.state,
        enrolments=lambda: Enrolments(gateway.records),
        signer=lambda: GATEWAY_KEY,
    )
    async with serve(agents_app(parts), Address(host="127.0.0.1", port=0), name="agents") as address:
        gateway.url = f"http://127.0.0.1:{address.port}"
        yield


async def test_backlog_and_live_come_as_one(gateway: Gateway) -> None:
    await gateway.push(push(1))
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store, no-transform"
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        assert await stream.message() == (1, push(1).id)
        for number in (2, 3):
            await gateway.push(push(number))
            assert await stream.message() == (number, push(number).id)


async def test_a_stream_goes_on_after_every_row(gateway: Gateway) -> None:
    """R14: one cursor a row; a break between two refs of one delivery goes on at the second."""
    await gateway.push(push(1), push(1, ref="refs/tags/v1"))
    await gateway.push(push(2))
    ids = [push(1).id, push(1, ref="refs/tags/v1").id, push(2).id]
    for after in range(len(ids)):
        async with gateway.stream(gateway.cursor(after)) as stream:
            heard = [await stream.message() for _ in ids[after:]]
        assert heard == list(enumerate(ids, 1))[after:]


@pytest.mark.parametrize("cursor", [None, "x" * 16 + ".0", "no cursor at all"])
async def test_a_cursor_that_is_not_known_begins_anew(gateway: Gateway, cursor: str | None) -> None:
    """R14: first the reset with where to go on, then what is live."""
    await gateway.push(push(1))
    async with gateway.stream(cursor) as stream:
        assert await stream.next() == ResetFrame(cursor=gateway.cursor(1))
        await gateway.push(push(2))
        assert await stream.message() == (2, push(2).id)


async def test_numbers_may_have_gaps(gateway: Gateway) -> None:
    for number in (1, 2, 3):
        await gateway.push(push(number))
    delete = "DELETE FROM events WHERE seq = 2"
    await gateway.journal.database.write(lambda c: c.execute(delete).fetchall(), within_s=5)
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert [(await stream.message())[0] for _ in range(2)] == [1, 3]
        await gateway.push(push(4))
        assert await stream.message() == (4, push(4).id)


async def test_only_what_the_agent_may_hear_is_sent(gateway: Gateway) -> None:
    """R15: in the backlog and live; an event about no repository is for all."""
    await gateway.push(push(1, path="acme/secret"))
    await gateway.push(push(2))
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.message() == (2, push(2).id)
        await gateway.push(push(3, path="acme/secret"))
        await gateway.push(push(4))
        await gateway.push(canary(5))
        assert await stream.message() == (4, push(4).id)
        assert await stream.message() == (5, canary(5).id)


async def test_a_backlog_longer_than_a_page_comes_whole(gateway: Gateway) -> None:
    await gateway.push(*(push(1, ref=f"refs/heads/b{n}") for n in range(1203)))
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert [(await stream.message())[0] for _ in range(1203)] == list(range(1, 1204))


async def test_a_quiet_agents_cursor_moves_on(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: a tick has the cursor of the last row examined, also of rows that are not for this agent."""
    monkeypatch.setattr(module, "_TICK_S", 0.2)
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.next() == TickFrame(cursor=gateway.cursor(0))
        await gateway.push(push(1, path="acme/secret"))
        while (frame := await stream.next()) == TickFrame(cursor=gateway.cursor(0)):
            pass
        assert frame == TickFrame(cursor=gateway.cursor(1))


async def test_a_stream_says_at_once_that_it_is_open(gateway: Gateway) -> None:
    async with asyncio.timeout(5), gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.next() == TickFrame(cursor=gateway.cursor(0))


@pytest.mark.parametrize(
    "token", ["", "bpa_web-1_" + "t" * 43, "bpa_web-2_" + "s" * 43, TOKEN[:-1], TOKEN + "s", "bpa_", "ä"]
)
async def test_without_its_token_nobody_hears_or_says_anything(gateway: Gateway, token: str) -> None:
    async with gateway.stream(token=token) as stream:
        assert stream.response.status == 401
        constant = await stream.response.json()
    assert await gateway.report(report(), token=token) == (401, constant)
    assert await gateway.state.agents() == {}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param({}, id="the record is gone"),
        pytest.param({WEB: record(token="bpa_web-1_new")}, id="the token is another"),
        pytest.param({WEB: record("github.com/acme/other")}, id="a repository was taken away"),
        pytest.param({WEB: record("github.com/acme/site", "github.com/acme/other")}, id="one was added"),
    ],
)
async def test_changed_rights_end_the_stream(
    gateway: Gateway, records: dict[Name, Enrolment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: within five seconds, of which at least two are for reading the record."""
    assert module._LOOK_S <= 3
    monkeypatch.setattr(module, "_LOOK_S", 0.1)
    async with gateway.stream(gateway.cursor(0)) as stream, asyncio.timeout(5):
        await stream.next()
        gateway.records.clear()
        gateway.records.update(records)
        while await stream.next() is not None:
            pass


async def test_the_same_record_read_again_ends_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    async with gateway.stream(gateway.cursor(0)) as stream:
        gateway.records[WEB] = record()
        await asyncio.sleep(0.2)
        await gateway.push(push(1))
        assert await stream.message() == (1, push(1).id)


async def test_streams_end_with_the_listener(gateway: Gateway) -> None:
    """Each takes leave by itself; nobody waits for the drain to run out."""
    async with AsyncExitStack() as listener:
        await listener.enter_async_context(serving(gateway))
        async with gateway.stream(gateway.cursor(0)) as stream:
            await stream.next()
            before = asyncio.get_running_loop().time()
            await listener.aclose()
            assert asyncio.get_running_loop().time() - before < 1
            assert await stream.next() is None


async def test_reports_are_kept_once(gateway: Gateway) -> None:
    """R18: the same again is answered the same."""
    assert await gateway.report(report(1)) == (202, {"want": "full"})
    assert await gateway.report(report(1)) == (202, {"want": "full"})
    assert len(await gateway.state.answers("github.com/acme/site", "refs/heads/main", T0)) == 1


async def test_the_full_state_is_asked_for_until_it_came(gateway: Gateway) -> None:
    assert await gateway.report(heartbeat(1)) == (202, {"want": "full"})
    assert await gateway.report(heartbeat(2, full=(sync_state(),))) == (202, {"want": None})
    assert await gateway.report(report(3)) == (202, {"want": None})
    heard = (await gateway.state.agents())[WEB]
    assert heard.syncs == (sync_state(),)
    assert utc_now() - heard.heard < seconds(30)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(report(agent=Name("web-2")), 403, id="in another agent's name"),
        pytest.param(heartbeat(agent=Name("web-2")), 403, id="another's heartbeat"),
        pytest.param(report(path="acme/other"), 403, id="of another repository"),
        pytest.param(report(environment=Name("staging")), 403, id="of another environment"),
        pytest.param(push(1).data, 403, id="an event"),
    ],
)
async def test_what_is_out_of_scope_is_refused(gateway: Gateway, data: Report | Heartbeat, status: int) -> None:
    """R26: the seal, the token and the body name one agent, and its record has what it speaks of."""
    assert (await gateway.report(data))[0] == status
    assert await gateway.state.agents() == {}


async def test_a_seal_by_any_other_key_is_refused(gateway: Gateway) -> None:
    """R26: the token alone is not enough, nor with another agent's key, nor is another installation's seal."""
    other = Name("web-2")
    gateway.records[other] = record(token="bpa_web-2_x", agent=other, key=OTHER_KEY)
    assert await gateway.report(report(), signer=OTHER_KEY) == (403, {"error": "no pinned key has the seal's kid"})
    assert (await gateway.report(report(), audience="other"))[0] == 403
    assert (await gateway.post(b"{}", {}))[0] == 403
    assert await gateway.state.agents() == {}


@pytest.mark.parametrize(
    "age", [seconds(150), seconds(-150), seconds(2 * 365 * 86400)], ids=["late", "early", "years"]
)
async def test_a_seal_that_was_not_made_just_now_is_refused(gateway: Gateway, age: timedelta) -> None:
    """R26: what was said two minutes ago turns nothing green now; the agent may seal the same anew."""
    status, answer = await gateway.report(heartbeat(1, full=(sync_state(),)), age=age)
    assert status == 425
    assert "clocks" in str(answer["error"])
    assert await gateway.state.agents() == {}


async def test_an_epoch_of_the_future_locks_nobody_out(gateway: Gateway) -> None:
    """One message of a stolen credential must not outlive its rotation."""
    assert (await gateway.report(heartbeat(1, epoch=2**53 - 1)))[0] == 400
    assert (await gateway.report(heartbeat(1, epoch=int(utc_now().timestamp()))))[0] == 202


async def test_an_earlier_epoch_is_refused_by_name(gateway: Gateway) -> None:
    await gateway.report(report(1, epoch=7))
    status, answer = await gateway.report(report(1, epoch=6))
    assert status == 409
    assert "epoch 7" in str(answer["error"])


async def test_what_is_no_message_is_refused_before_it_is_read(gateway: Gateway) -> None:
    body = b'{"specversion": "1.0"}'
    sealed = seal(body, seal_type=SealType.REPORT, audience="acme", now=utc_now(), signer=AGENT_KEY)
    assert (await gateway.post(body, {SEAL_HEADER: sealed}))[0] == 400
    assert (await gateway.post(body, {SEAL_HEADER: sealed, "Content-Type": "application/json"}))[0] == 415
    assert (await gateway.post(body, {SEAL_HEADER: sealed, "Content-Encoding": "gzip"}))[0] == 415
    assert (await gateway.post(b"x" * (MAX_BYTES + 1), {SEAL_HEADER: sealed}))[0] == 413


async def test_nothing_secret_is_logged(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway.stream(token=TOKEN + "x"):
        pass
    await gateway.report(report(agent=Name("web-2")))
    logged = "".join(capsys.readouterr())
    assert "report refused" in logged
    assert "s" * 43 not in logged
