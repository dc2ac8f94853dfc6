"""A hooks listener over real HTTP, with a journal on disk."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import aiohttp
import orjson

from bellpull.runtime.address import Address
from bellpull.runtime.http import serve
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.app.hooks import Hooks
from gateway.app.intake import Intake
from gateway.app.receiving import Large
from gateway.app.refusals import Refusals
from tests.gateway.github import NOW, SOURCE, headers, payload

BODY = orjson.dumps(payload())
NOTHING: Mapping[str, str] = {}


@dataclass(slots=True, kw_only=True)
class Listener:
    url: str
    session: aiohttp.ClientSession
    journal: SqliteJournal
    metrics: Metrics
    refusals: Refusals = field(default_factory=Refusals)

    async def post(self, body: bytes = BODY, changes: Mapping[str, str] = NOTHING) -> tuple[int, bytes]:
        fields = {key.decode(): value.decode() for key, value in headers(body)} | dict(changes)
        async with self.session.post(f"{self.url}/hooks/github", data=BytesIO(body), headers=fields) as response:
            return response.status, await response.read()


@asynccontextmanager
async def listener(
    folder: Path,
    intake: Intake | None = None,
    large: Large | None = None,
    spread: Callable[[str], float] = lambda _: 0.0,
) -> AsyncIterator[Listener]:
    metrics = Metrics()
    async with open_journal(folder / "journal.db", NOW) as journal, aiohttp.ClientSession() as session:
        refusals = Refusals()
        hooks = Hooks(lambda: {"github": SOURCE}, journal, metrics, intake, large, refusals=refusals, spread=spread)
        async with serve(hooks.app(), Address(host="127.0.0.1", port=0), name="hooks") as address:
            yield Listener(
                url=f"http://{address}", session=session, journal=journal, metrics=metrics, refusals=refusals
            )
