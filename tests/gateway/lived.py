"""A gateway's parts on its two files, and files in which a gateway wrote a row for each odd value."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from bellpull.contract.cursor import Cursor
from bellpull.contract.word import Word
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import serve
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import SqliteJournal
from gateway.adapters.state import SqliteState
from gateway.app.api import api_routes
from gateway.app.config import JournalSettings
from gateway.app.enrolment import Enrolments
from gateway.app.refusals import Refusals
from gateway.app.storage import open_storage
from gateway.core.rejections import Refusal
from tests.gateway.agents import Gateway, record, serving
from tests.gateway.examples import WEB, sync_state
from tests.gateway.spoil import ODD
from tests.gateway.test_api import Api

__all__ = ["FIRST", "LAST", "NEXT", "ODD_ROWS", "Running", "copied", "filled", "moved_aside", "running"]

FIRST, LAST = 1, len(ODD) + 2
"""The good rows; those between are spoiled."""
NEXT = LAST + 1
ODD_ROWS: Final = tuple(enumerate(ODD, start=FIRST + 1))


@dataclass(slots=True)
class Running:
    """A gateway's parts on its two files."""

    api: Api
    agents: Gateway
    metrics: Metrics

    def left_out(self, file: str) -> float:
        """Return how many rows of a file were left out, as it is shown."""
        name = f'bellpull_file_rows_left_out_total{{file="{file}"}}'
        lines = self.metrics.render()[0].decode().splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


@asynccontextmanager
async def running(folder: Path, *, forwards: bool = False) -> AsyncIterator[Running]:
    """Run API and agents' listener on a folder's files."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_storage(folder, JournalSettings(), metrics, forwards=forwards))
        journal, state = opened.journal, opened.state
        assert isinstance(journal, SqliteJournal)
        assert isinstance(state, SqliteState)
        api = Api(journal, state)
        api.refusals = await stack.enter_async_context(Refusals.open(state))
        app = web.Application()
        app.router.add_routes(api_routes(journal, state, lambda: Enrolments(api.records), api.refusals))
        address = await stack.enter_async_context(serve(app, Address(host="127.0.0.1", port=0), name="console"))
        api.url = f"http://127.0.0.1:{address.port}"
        session = await stack.enter_async_context(aiohttp.ClientSession())
        agents = Gateway(journal=journal, state=state, session=session, records={WEB: record()})
        await stack.enter_async_context(serving(agents))
        yield Running(api, agents, metrics)


async def filled(folder: Path) -> Cursor:
    """Have a gateway write a row for each odd value, with one before and one behind; return where all that begins."""
    async with running(folder) as gateway:
        await gateway.api.beat(1, full=(sync_state(),))
        for number in range(FIRST, NEXT):
            event = await gateway.api.push(number)
            await gateway.api.say(number, number, Word.APPLIED, event)
            await gateway.api.hear(number + 100)
            refusal = Refusal(source="github", status=401, address=f"192.0.2.{number}", reason="no signature")
            gateway.api.refusals.note(refusal, "no", utc_now())
        return gateway.agents.cursor(0)


def copied(folder: Path, to: Path) -> None:
    """Copy the files but for the reserve."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.reserve"), dirs_exist_ok=True)


def moved_aside(folder: Path) -> list[Path]:
    """Return what was taken for damaged."""
    return list(folder.glob("*damaged*"))
