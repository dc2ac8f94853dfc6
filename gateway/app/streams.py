"""The stream of events to agents.

A stream is a cursor and a loop: read a page of the journal, send what this agent may hear, wait for more. Backlog
and live are the same loop, and there is no queue for each stream, so a thousand of them cost a thousand cursors.
Rights are looked at before every page and every few seconds: a token that was revoked, or other repositories, end
the stream; the agent comes back and looks at everything.
"""

import asyncio
from typing import Final

from aiohttp import hdrs, web

from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.seal import SealType, seal
from bellpull.contract.stream import RETRY, MessageFrame, ResetFrame, TickFrame, encode_frame
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from gateway.app.admission import AgentsParts, admitted, unauthorized
from gateway.app.enrolment import Enrolment
from gateway.core.audience import may_hear
from gateway.core.resume import Reset
from gateway.ports.journal import PAGE, Row

__all__ = ["Streams"]

_log = logger(__name__)
_TICK_S: Final = 15.0
_LOOK_S: Final = 2.0
"""How often rights, and whether the agent is still there, are looked at while nothing happens."""
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Streams:
    """All open streams."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts
        self._ending = False
        self._waits: set[asyncio.Timeout] = set()

    async def end(self, _: web.Application) -> None:
        """End all streams; each takes leave by itself."""
        self._ending = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(now)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one agent, for as long as it stays and may."""
        record = admitted(request, self._parts.enrolments())
        if record is None:
            _log.warning("stream refused", reason="token", remote=request.remote)
            return unauthorized()
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        try:
            reason = await self._follow(request, response, record)
        except ConnectionResetError:
            reason = "the agent is gone"
        _log.info("stream ended", agent=record.agent, reason=reason)
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse, record: Enrolment) -> str:
        """Send what there is and what comes, until there is a reason not to; return that."""
        seq = await self._begin(request, response, record)
        clock = asyncio.get_running_loop()
        tick_at = clock.time()  # the first one at once: the agent sees that the way is open
        while True:
            if (reason := self._over(request, record)) is not None:
                return reason
            rows = await self._parts.journal.page(seq) if self._parts.journal.newest() > seq else ()
            for row in rows:
                await self._tell(response, record, row)
                seq = row.seq
            if clock.time() >= tick_at:
                await response.write(encode_frame(TickFrame(cursor=self._cursor(seq))))
                tick_at = clock.time() + _TICK_S
            if len(rows) < PAGE:
                await self._wait(seq, min(_LOOK_S, tick_at - clock.time()))

    async def _begin(self, request: web.Request, response: web.StreamResponse, record: Enrolment) -> int:
        where = await self._parts.journal.resume(_last_event_id(request))
        await response.write(RETRY)
        if isinstance(where, Reset):
            await response.write(encode_frame(ResetFrame(cursor=self._cursor(where.seq))))
        reset = where.reason if isinstance(where, Reset) else None
        _log.info("stream begun", agent=record.agent, after=where.seq, reset=reset)
        return where.seq

    def _over(self, request: web.Request, record: Enrolment) -> str | None:
        if self._ending:
            return "the gateway stops"
        if request.transport is None or request.transport.is_closing():
            return "the agent is gone"
        now = admitted(request, self._parts.enrolments())
        if now is None:
            return "the token is not known any more"
        return None if now.repositories == record.repositories else "the agent's repositories changed"

    async def _tell(self, response: web.StreamResponse, record: Enrolment, row: Row) -> None:
        if not may_hear(record.repositories, row.repository):
            return
        sealed = seal(
            row.body,
            seal_type=SealType.EVENT,
            audience=self._parts.installation,
            now=utc_now(),
            signer=self._parts.signer(),
        )
        frame = MessageFrame(cursor=self._cursor(row.seq), seal=sealed, body=row.body)
        await response.write(encode_frame(frame))
        await asyncio.sleep(0)

    async def _wait(self, seq: int, seconds: float) -> None:
        """Wait for a row beyond `seq`, at most so long, and no longer than until the end."""
        if self._ending:
            return
        limit = asyncio.timeout(max(seconds, 0))
        try:
            async with limit:
                self._waits.add(limit)
                await self._parts.journal.wait_beyond(seq)
        except TimeoutError:
            pass
        finally:
            self._waits.discard(limit)

    def _cursor(self, seq: int) -> Cursor:
        return Cursor(epoch=self._parts.journal.epoch, seq=seq)


def _last_event_id(request: web.Request) -> Cursor | None:
    """Return the agent's cursor; what is none is as good as none, and answered by a reset."""
    try:
        return Cursor.parse(request.headers["Last-Event-ID"])
    except (KeyError, ContractError):
        return None
