"""A listener for agents over real HTTP, on a journal and a state on disk."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.message import MEDIA_TYPE, Data, Message, decode, encode
from bellpull.contract.seal import PinnedKey, SealType, seal, unseal
from bellpull.contract.stream import (
    AFTER,
    EVENTS_PATH,
    REPORTS_PATH,
    SEAL_HEADER,
    WAIT,
    Frame,
    FrameReader,
    MessageFrame,
    TickFrame,
)
from bellpull.contract.text import MessageId, Name
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import serve
from bellpull.runtime.jose import Ed25519Signer, generate, public_jwk
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.state import SqliteState, open_state
from gateway.app.agents import AgentsParts, agents_app
from gateway.app.enrolment import Enrolment, Enrolments, TokenHash
from tests.gateway.examples import GITHUB, T0, WEB

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
    metrics: Metrics = field(default_factory=Metrics)

    def counted(self, name: str) -> float:
        """Return a metric, as it is shown."""
        lines = self.metrics.render()[0].decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])

    async def poll(
        self, after: Cursor | str | None = None, wait: object = 0, token: str = TOKEN
    ) -> tuple[int, list[Frame], Mapping[str, str]]:
        """Poll once; return status, frames and head."""
        query = {WAIT: str(wait)} | ({} if after is None else {AFTER: str(after)})
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.get(self.url + EVENTS_PATH, params=query, headers=headers) as response:
            frames = FrameReader().feed(await response.read()) if response.status == 200 else []
            return response.status, frames, response.headers

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
        open_state(tmp_path / "state.db", T0) as state,
        aiohttp.ClientSession() as session,
    ):
        made = Gateway(journal=journal, state=state, session=session, records={WEB: record()})
        async with serving(made):
            yield made


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[None]:
    gateway.metrics = Metrics()
    parts = AgentsParts(
        installation=ACME,
        journal=gateway.journal,
        state=gateway.state,
        enrolments=lambda: Enrolments(gateway.records),
        signer=lambda: GATEWAY_KEY,
        metrics=gateway.metrics,
    )
    async with serve(agents_app(parts), Address(host="127.0.0.1", port=0), name="agents") as address:
        gateway.url = f"http://127.0.0.1:{address.port}"
        yield
