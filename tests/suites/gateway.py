"""A gateway's parts in this process, on files in a folder, as every harness of the transport suite has them."""

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Final

from bellpull.contract.ids import agent_message_id
from bellpull.contract.message import Message, encode
from bellpull.contract.report import Report
from bellpull.contract.seal import PinnedKey, SealType, seal
from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.jose import generate, public_jwk
from bellpull.runtime.metrics import Metrics
from gateway.adapters.backup import back_up
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.state import SqliteState, open_state
from gateway.app.admission import AgentsParts
from gateway.app.enrolment import Enrolment, Enrolments, TokenHash
from tests.gateway.examples import GITHUB, PRODUCTION, T0, WEB
from tests.parts.breaking import Breaking, Cut

__all__ = ["TOKEN", "GatewayParts"]

TOKEN: Final = "bpa_web-1_" + "s" * 43


class GatewayParts(ABC):
    """One gateway, and the network between it and the agent; who inherits from it says how it starts and stops."""

    installation = "acme"

    def __init__(self, folder: Path, network: Breaking) -> None:
        self._folder = folder
        self._network = network
        self._gateway = AsyncExitStack()
        self._key, self._agent_key = generate(), generate()
        self.keys: Mapping[str, PinnedKey] = {self._key.kid: PinnedKey(verifier=self._key.public)}
        self.records = {WEB: self.record()}
        self.journal: SqliteJournal
        self.state: SqliteState
        self.metrics: Metrics

    @abstractmethod
    async def start(self) -> None:
        """Start the gateway, on what it has on disk."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop the gateway."""

    def record(self, *repositories: str) -> Enrolment:
        """Return the agent's record."""
        return Enrolment(
            agent=WEB,
            environments=(PRODUCTION,),
            repositories=repositories or ("github.com/acme/site",),
            token=TokenHash(sha256=sha256(TOKEN.encode()).hexdigest()),
            keys=(public_jwk(self._agent_key.public),),
        )

    async def open(self, *, forwards: bool) -> AgentsParts:
        """Open the gateway's files, and return what its listener works with."""
        self.metrics = Metrics()
        anew = forwards and await asyncio.to_thread((self._folder / "state.db").exists)
        enter = self._gateway.enter_async_context
        journal = open_journal(self._folder / "journal.db", utc_now(), forwards=forwards, anew=anew)
        self.journal = await enter(journal)
        self.state = await enter(open_state(self._folder / "state.db", utc_now()))
        return AgentsParts(
            installation=Name(self.installation),
            journal=self.journal,
            state=self.state,
            enrolments=lambda: Enrolments(self.records),
            signer=lambda: self._key,
            metrics=self.metrics,
        )

    async def accept(self, *messages: Message) -> None:
        """See `Harness`."""
        for message in messages:
            await self.journal.accept(
                [message], source=GITHUB, delivery=message.id, body_digest="0" * 64, now=utc_now()
            )

    def seal(self, data: Report) -> tuple[str, bytes]:
        """See `Harness`."""
        id_ = agent_message_id(data.agent, data.epoch, data.seq)
        body = encode(Message(id=id_, source="//acme/agents/web-1", time=T0, data=data))
        sealed = seal(
            body, seal_type=SealType.REPORT, audience=self.installation, now=utc_now(), signer=self._agent_key
        )
        return sealed, body

    async def counted(self, data: Report) -> int:
        """See `Harness`."""
        assert data.watches.ref is not None
        answers = await self.state.answers(data.watches.repository.key, data.watches.ref.full, T0)
        return sum(answer.commit == data.commit for answer in answers)

    async def restart(self) -> None:
        """See `Harness`."""
        await self.stop()
        await self.start()

    async def back_up(self) -> None:
        """See `Harness`; it goes on running."""
        kept = self._folder / "kept.db"
        kept.unlink(missing_ok=True)
        await asyncio.to_thread(back_up, self._folder / "journal.db", kept, lambda _: None)

    async def restore(self) -> None:
        """See `Harness`."""
        await self._replace(self._folder / "kept.db")

    async def empty(self) -> None:
        """See `Harness`."""
        await self._replace(None)

    async def _replace(self, kept: Path | None) -> None:
        """Put another journal in place of the one there is, or none."""
        await self.stop()
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (self._folder / name).unlink(missing_ok=True)
        if kept is not None:
            await asyncio.to_thread(shutil.copyfile, kept, self._folder / "journal.db")
        await self.start()

    async def expire(self) -> None:
        """See `Harness`."""
        await self.journal.database.write(lambda c: c.execute("DELETE FROM events").fetchall(), within_s=5)

    def cut(self, *cuts: Cut) -> None:
        """See `Harness`."""
        self._network.break_all()
        self._network.cuts.extend(cuts)

    def passed(self) -> bytes:
        """See `Harness`."""
        return bytes(self._network.passed)
