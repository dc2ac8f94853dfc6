"""The listener for agents: the stream of events, and their reports.

A stream is a cursor and a loop: read a page of the journal, send what this agent may hear, wait for more. Backlog
and live are the same loop, and there is no queue for each stream, so a thousand of them cost a thousand cursors.
Rights are looked at before every page and every few seconds: a token that was revoked, or other repositories, end
the stream; the agent comes back and looks at everything.

Reports are unsealed with the keys of the agent whose token came with them, and count only within its record (R26).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aiohttp import hdrs, web

from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE, Message, Unknown, decode
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.seal import Sealed, SealError, SealType, Signer, seal, unseal
from bellpull.contract.stream import (
    EVENTS_PATH,
    REPORTS_PATH,
    RETRY,
    SEAL_HEADER,
    MessageFrame,
    Receipt,
    ResetFrame,
    TickFrame,
    encode_frame,
)
from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from gateway.app.enrolment import Enrolment, Enrolments
from gateway.core.audience import may_hear
from gateway.core.resume import Reset
from gateway.core.scope import OutOfScope, scope
from gateway.ports.journal import PAGE, Journal, Row
from gateway.ports.state import Heard, Put, State, StateError

__all__ = ["AgentsParts", "agents_app"]

_log = logger(__name__)
_TICK_S: Final = 15.0
_LOOK_S: Final = 2.0
"""How often rights, and whether the agent is still there, are looked at while nothing happens."""
_BODY_S: Final = 10.0
_FRESH: Final = timedelta(minutes=2)
"""Agents seal when they send: what is older, or of the future, is a replay or a wrong clock (R26)."""
_EPOCH_AHEAD: Final = timedelta(minutes=10)
"""A stolen credential can lock its agent out by an epoch for no longer than this."""
_LARGE: Final = 256 * 1024
"""Bodies beyond this are read into values off the loop."""
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsParts:
    """What the listener works with.

    Attributes:
        installation: the audience of every seal.
        journal: what is told.
        state: where reports go.
        enrolments: the records as of now.
        signer: the installation's sealing key as of now.
    """

    installation: Name
    journal: Journal
    state: State
    enrolments: Callable[[], Enrolments]
    signer: Callable[[], Signer]


def agents_app(parts: AgentsParts) -> web.Application:
    """Return the application; its streams end when it is shut down."""
    streams = _Streams(parts)
    reports = _Reports(parts)
    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_get(EVENTS_PATH, streams.serve, allow_head=False)
    app.router.add_post(REPORTS_PATH, reports.take)
    app.on_shutdown.append(streams.end)
    return app


def _record(request: web.Request, enrolments: Enrolments) -> Enrolment | None:
    """Return the record of the agent whose token the request has."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return enrolments.by_token(token.strip().encode("utf-8", "surrogateescape"))


def _unauthorized() -> web.Response:
    challenge = {hdrs.WWW_AUTHENTICATE: "Bearer"}
    return web.json_response({"error": "the token is missing or not known"}, status=401, headers=challenge)


def _error(status: int, reason: str) -> web.Response:
    headers = {hdrs.RETRY_AFTER: "1"} if status == 503 else None
    return web.json_response({"error": reason}, status=status, headers=headers)


class _Streams:
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
        record = _record(request, self._parts.enrolments())
        if record is None:
            _log.warning("stream refused", reason="token", remote=request.remote)
            return _unauthorized()
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
        now = _record(request, self._parts.enrolments())
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


class _Refused(Exception):  # noqa: N818 - it says what happened
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Reports:
    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts

    async def take(self, request: web.Request) -> web.Response:
        record = _record(request, self._parts.enrolments())
        if record is None:
            _log.warning("report refused", reason="token", remote=request.remote)
            return _unauthorized()
        try:
            receipt = await self._keep(request, record)
        except _Refused as error:
            _log.warning("report refused", agent=record.agent, status=error.status, reason=error.reason)
            return _error(error.status, error.reason)
        return web.Response(body=receipt.encode(), status=202, content_type="application/json")

    async def _keep(self, request: web.Request, record: Enrolment) -> Receipt:
        body = await _read(request)
        sealed = self._unseal(request, body, record)
        message = await _decode(sealed)
        if isinstance(message, Unknown):
            return Receipt()
        in_scope = scope(
            message.data,
            agent=record.agent,
            environments=record.environments,
            repositories=record.repositories,
        )
        if isinstance(in_scope, OutOfScope):
            raise _Refused(403, in_scope.reason)
        if in_scope.data.epoch > (utc_now() + _EPOCH_AHEAD).timestamp():
            raise _Refused(400, "its epoch is in the future: an epoch is the time of a start, in seconds")
        if in_scope.left_out:
            _log.warning("Syncs left out of a heartbeat", agent=record.agent, syncs=in_scope.left_out)
        return _receipt(await self._put(in_scope.data, sealed))

    def _unseal(self, request: web.Request, body: bytes, record: Enrolment) -> Sealed:
        now = utc_now()
        try:
            sealed = unseal(
                request.headers.get(SEAL_HEADER, ""),
                body,
                seal_type=SealType.REPORT,
                audience=self._parts.installation,
                keys=record.pinned,
                now=now,
            )
        except SealError as error:
            raise _Refused(403, error.fault.value) from None
        if abs(now - sealed.issued) > _FRESH:
            age_s = (now - sealed.issued).total_seconds()
            raise _Refused(425, f"it was sealed {age_s:.0f} s ago by this gateway's clock: are both clocks right?")
        return sealed

    async def _put(self, data: Report | Heartbeat, sealed: Sealed) -> Heard:
        now = utc_now()
        try:
            if isinstance(data, Report):
                return await self._parts.state.put_report(data, issued=sealed.issued, received=now)
            return await self._parts.state.put_heartbeat(data, issued=sealed.issued, received=now)
        except StateError as error:
            _log.error("state cannot be written", error=str(error))
            raise _Refused(503, "it cannot be kept now") from error


def _receipt(heard: Heard) -> Receipt:
    if heard.put is Put.BEHIND:
        raise _Refused(409, f"epoch {heard.epoch} of this agent was heard already, and this is of an earlier one")
    return Receipt(want_full=heard.want_full)


async def _read(request: web.Request) -> bytes:
    """Return the body, of the one media type, not encoded, within size and time."""
    if request.content_type != MEDIA_TYPE:
        raise _Refused(415, f"the content type is not {MEDIA_TYPE}")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise _Refused(415, "the body is encoded")
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _Refused(413, f"the body is larger than {MAX_BYTES} bytes") from None
    except TimeoutError:
        raise _Refused(408, f"the body did not come within {_BODY_S:g} s") from None


async def _decode(sealed: Sealed) -> Message | Unknown:
    try:
        if len(sealed.body) > _LARGE:
            return await asyncio.to_thread(decode, sealed.body)
        return decode(sealed.body)
    except ContractError as error:
        raise _Refused(400, str(error)) from None
