"""The gateway's files, opened with their limits and figures; the signs of life in the journal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import open_journal
from gateway.adapters.meter import FileMetrics
from gateway.adapters.outgoing import SqliteOutgoing
from gateway.adapters.state import STATE_BYTES, open_state
from gateway.app.config import JournalSettings
from gateway.core.room import Limits
from gateway.ports.journal import SIGN_S, Journal, JournalError
from gateway.ports.outgoing import Outgoing
from gateway.ports.state import State

__all__ = ["Storage", "open_storage", "sign_on"]

_log = logger("gateway.journal")


class Storage(NamedTuple):
    """Both files, and what of the first waits for a broker."""

    journal: Journal
    state: State
    outgoing: Outgoing


@asynccontextmanager
async def open_storage(
    data: Path, settings: JournalSettings, metrics: Metrics, *, forwards: bool = False
) -> AsyncIterator[Storage]:
    """Open both files of the folder `data`; at the end write the last sign of life, and close them.

    With `forwards` what is accepted waits for a broker. Without, what still waits for one stays as it is, and is
    heard over the stream like all else. A state without a journal says that this one is in place of one that was
    lost: who listens to a broker does not find that out, so all are told to look at everything.

    Raises:
        JournalError: the journal cannot be opened.
        StateError: the state cannot be opened.
        DiskFailed: one of them cannot be read.
    """
    files = FileMetrics(metrics)
    ran_before = await asyncio.to_thread((data / "state.db").exists)
    limits = Limits(max_bytes=settings.max_bytes, keep=settings.keep, reserve=True)
    words = Limits(max_bytes=STATE_BYTES, keep=settings.keep)
    async with (
        open_journal(
            data / "journal.db",
            utc_now(),
            limits=limits,
            meter=files.of("journal"),
            forwards=forwards,
            anew=forwards and ran_before,
        ) as journal,
        open_state(data / "state.db", utc_now(), limits=words, meter=files.of("state")) as state,
    ):
        outgoing = SqliteOutgoing(journal.database)
        if not forwards and (left := await outgoing.left()):
            _log.warning(
                "events wait for a broker, and none is configured: they are heard over the stream", left=left
            )
        yield Storage(journal, state, outgoing)
        with suppress(JournalError):
            await journal.sign(utc_now())


async def sign_on(journal: Journal) -> None:
    """Write a sign of life every `SIGN_S` seconds, for ever."""
    said: str | None = None
    while True:
        await asyncio.sleep(SIGN_S)
        with suppress(JournalError):
            await journal.sign(utc_now())
        problem = journal.problem()
        if problem is not None and said is None:
            _log.error("the journal has no room", problem=problem)
        said = problem
