"""What an agent is told: the journal beyond its place, as far as it may hear it, sealed.

A stream and a poll read by the same function, so who may hear what is decided in one place, for the backlog and for
what is live (R15). Numbers leave no gap: where one is missing, because its row went or cannot be read, the agent is
told to look at everything. Events are sealed when they are sent (R27). Whoever is behind reads 16 at a time (R17),
and a page is small: a thousand agents that come back at once hold a thousand small pages, not the journal.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bellpull.contract.cursor import Cursor
from bellpull.contract.seal import SealType, seal
from bellpull.contract.stream import MessageFrame, ResetFrame, TickFrame, encode_frame
from bellpull.runtime.clock import utc_now
from gateway.app.admission import AgentsParts
from gateway.app.enrolment import Enrolment
from gateway.core.audience import may_hear
from gateway.core.resume import Reset
from gateway.ports.journal import Row

__all__ = ["Page", "Teller"]

_RESUMES: Final = 16
_ROWS: Final = 64
"""Read at a time; what a stream holds while its agent takes its time."""
_AT_A_STRETCH: Final = 8
"""Sealed before others have their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What there is to tell next.

    Attributes:
        frames: encoded; empty where nothing was for this agent.
        seq: the last row examined.
        more: whether there is more right behind it.
    """

    frames: bytes
    seq: int
    more: bool


class Teller:
    """Reads the journal for all agents."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts
        self._resuming = asyncio.Semaphore(_RESUMES)
        self._resets = parts.metrics.counter(
            "bellpull_agents_resets",
            "Resets that agents were told, and what was wrong with where they stood.",
            ("reason",),
        )

    async def begin(self, cursor: Cursor | None) -> tuple[int, Reset | None]:
        """Return the row behind which an agent goes on, and the reset it has to be told (R14)."""
        async with self._resuming:
            where = await self._parts.journal.resume(cursor)
        reset = where if isinstance(where, Reset) else None
        if reset is not None:
            self._resets.labels(reset.reason).inc()
        return where.seq, reset

    async def page(self, record: Enrolment, seq: int, *, behind: bool) -> Page:
        """Return what comes beyond `seq`; `behind` says that it is known to be more than what just happened."""
        if self._parts.journal.newest() <= seq:
            return Page(frames=b"", seq=seq, more=False)
        if behind:
            async with self._resuming:
                return await self._read(record, seq)
        return await self._read(record, seq)

    def reset(self, seq: int) -> bytes:
        """Return the frame that says: begin anew, here."""
        return encode_frame(ResetFrame(cursor=self._cursor(seq)))

    def tick(self, seq: int) -> bytes:
        """Return the frame that says: so far there is no more."""
        return encode_frame(TickFrame(cursor=self._cursor(seq)))

    async def _read(self, record: Enrolment, seq: int) -> Page:
        newest = self._parts.journal.newest()
        rows = await self._parts.journal.page(seq, _ROWS)
        if not rows or rows[0].seq != seq + 1:
            where = await self._parts.journal.resume(self._cursor(seq))
            if isinstance(where, Reset):
                return self._overtaken()
        frames = await self._seal(record, seq, rows)
        if not rows:
            return Page(frames=self._missing(newest), seq=newest, more=False)
        return Page(frames=frames, seq=rows[-1].seq, more=len(rows) == _ROWS)

    def _overtaken(self) -> Page:
        """Begin anew: rows that this agent had not heard yet were too old or too many to be kept."""
        newest = self._parts.journal.newest()
        self._resets.labels("rows were removed before they were heard").inc()
        return Page(frames=self.reset(newest), seq=newest, more=False)

    def _missing(self, seq: int) -> bytes:
        """Tell of rows up to `seq` that cannot be read; the stream goes on behind them."""
        self._resets.labels("rows could not be read").inc()
        return self.reset(seq)

    async def _seal(self, record: Enrolment, seq: int, rows: Sequence[Row]) -> bytes:
        """Return the frames of rows beyond `seq`."""
        frames = bytearray()
        sealed = 0
        for row in rows:
            if row.seq != seq + 1:
                frames += self._missing(row.seq - 1)
            seq = row.seq
            if may_hear(record.repositories, row.repository):
                frames += self._frame(row)
                sealed += 1
                if sealed % _AT_A_STRETCH == 0:
                    await asyncio.sleep(0)
        return bytes(frames)

    def _frame(self, row: Row) -> bytes:
        sealed = seal(
            row.body,
            seal_type=SealType.EVENT,
            audience=self._parts.installation,
            now=utc_now(),
            signer=self._parts.signer(),
        )
        return encode_frame(MessageFrame(cursor=self._cursor(row.seq), seal=sealed, body=row.body))

    def _cursor(self, seq: int) -> Cursor:
        return Cursor(epoch=self._parts.journal.epoch, seq=seq)
