"""Events to agents: as a stream, or one poll after the other.

A stream is a cursor and a loop: read a page of the journal, send what this agent may hear, wait for more. Backlog
and live are the same loop, and there is no queue for each stream, so a thousand of them cost a thousand cursors.
A poll is the same loop that ends with the first page that has something in it, or when its time is over: it works
through proxies that keep back a response until it is whole (R16).

Rights are looked at before every page and every few seconds: a token that was revoked, or other repositories, end
the stream; the agent comes back and looks at everything. A poll says by what rights, and from which start of the
gateway, it was answered, as the next one may have others and would not know.

An agent that does not read, or whose machine is gone, is let go within a minute: a write that is blocked ends the
stream, and so does the kernel when nobody acknowledges what was sent, at the latest the tick (R17).

One agent has four streams and polls at once, twice what a leader and its standby need (R19): when one more comes the
oldest goes, so that none takes the room of others and one whose old connections are half open is let in at once.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from hashlib import sha256
from typing import Final

from aiohttp import hdrs, web

from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.stream import AFTER, RETRY, SESSION_HEADER, WAIT
from bellpull.runtime.logs import logger
from gateway.app.admission import AgentsParts, admitted, refusal, unauthorized
from gateway.app.enrolment import Enrolment
from gateway.app.telling import Teller

__all__ = ["Ending", "Streams"]

_log = logger(__name__)
_TICK_S: Final = 15.0
_LOOK_S: Final = 2.0
"""How often rights, and whether the agent is still there, are looked at while nothing happens."""
_STALLED_S: Final = 30.0
"""How long a write may be blocked."""
_DEAD_S: Final = 45.0
"""How long what was sent may be unacknowledged; later, as an agent that does not read acknowledges nothing either."""
_AT_ONCE: Final = 4
"""Streams and polls of one agent."""
_POLL_S: Final = 30.0
"""No poll waits longer, whatever it asks for: proxies give up at 60 s, many at 30 s after it."""
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Ending(StrEnum):
    """Why a stream ended."""

    STOPPING = "the gateway stops"
    GONE = "the agent is gone"
    STALLED = "the agent does not read"
    TOKEN = "the token is not known any more"  # noqa: S105 - a reason
    RIGHTS = "the agent's repositories changed"
    CROWDED = "the agent has too many streams"


class Streams:
    """All agents that listen now."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts
        self._teller = Teller(parts)
        self._ending = False
        self._waits: set[asyncio.Timeout] = set()
        self._by_agent: dict[str, list[web.Request]] = {}
        metrics = parts.metrics
        self._open = metrics.gauge("bellpull_agents_listening", "Agents that listen now, and by which way.", ("way",))
        self._ended = metrics.counter("bellpull_agents_streams_ended", "Streams that ended, and why.", ("reason",))
        for ending in Ending:
            self._ended.labels(ending.value)

    async def end(self, _: web.Application) -> None:
        """End all streams and polls; each takes leave by itself."""
        self._ending = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(now)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one agent: a stream for as long as it stays and may, or a poll where it asks for one."""
        record = admitted(request, self._parts.enrolments())
        if record is None:
            return unauthorized(request, self._parts, "stream refused")
        with self._one_of(record, request):
            if WAIT in request.query:
                with self._counted("poll"):
                    return await self._poll(request, record)
            with self._counted("stream"):
                return await self._stream(request, record)

    @contextmanager
    def _one_of(self, record: Enrolment, request: web.Request) -> Iterator[None]:
        """Count a request as one of its agent's; the oldest of too many is cut off."""
        own = self._by_agent.setdefault(record.agent, [])
        own.append(request)
        if len(own) > _AT_ONCE and (oldest := own.pop(0)).transport is not None:
            oldest.transport.abort()
        try:
            yield
        finally:
            left = [each for each in self._by_agent.pop(record.agent, ()) if each is not request]
            if left:
                self._by_agent[record.agent] = left

    @contextmanager
    def _counted(self, way: str) -> Iterator[None]:
        with self._open.labels(way).track_inprogress():
            yield

    async def _poll(self, request: web.Request, record: Enrolment) -> web.Response:
        """Answer with what there is beyond the agent's cursor, 204 where nothing comes in time."""
        wait_s = _seconds(request.query[WAIT])
        if wait_s is None:
            return refusal(400, f"{WAIT} is no number of seconds")
        until = asyncio.get_running_loop().time() + min(wait_s, _POLL_S)
        begun, reset = await self._teller.begin(_cursor(request.query.get(AFTER)))
        frames, seq = b"", begun
        if reset is None:
            frames, seq = await self._first_page(request, record, begun, until)
        else:
            _log.info("poll begins anew", agent=record.agent, after=begun, reset=reset.reason)
            frames = self._teller.reset(begun)
        headers = {**_HEADERS, SESSION_HEADER: self._session(record)}
        if not frames and seq == begun:
            return web.Response(status=204, headers=headers)
        return web.Response(body=frames + self._teller.tick(seq), headers=headers)

    async def _first_page(self, request: web.Request, record: Enrolment, seq: int, until: float) -> tuple[bytes, int]:
        """Return the first page with something in it, and the last row that was examined."""
        clock = asyncio.get_running_loop()
        behind = True
        while True:
            page = await self._teller.page(record, seq, behind=behind)
            seq, behind = page.seq, page.more
            if page.frames or clock.time() >= until or self._over(request, record) is not None:
                return page.frames, seq
            if not behind:
                await self._wait(seq, min(_LOOK_S, until - clock.time()))
                if self._over(request, record) is not None:
                    return b"", seq

    async def _stream(self, request: web.Request, record: Enrolment) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_HEADERS, SESSION_HEADER: self._session(record)})
        _let_go_of_the_dead(request)
        await response.prepare(request)
        try:
            ending = await self._follow(request, response, record)
        except ConnectionResetError:
            ending = Ending.GONE
        except _StalledError:
            ending = Ending.STALLED
            if request.transport is not None:
                request.transport.abort()
        self._ended.labels(ending.value).inc()
        _log.info("stream ended", agent=record.agent, reason=ending.value)
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse, record: Enrolment) -> Ending:
        """Send what there is and what comes, until there is a reason not to; return that."""
        seq = await self._begin(request, response, record)
        clock = asyncio.get_running_loop()
        tick_at = clock.time()  # the first one at once: the agent sees that the way is open
        behind = True
        while True:
            if (ending := self._over(request, record)) is not None:
                return ending
            page = await self._teller.page(record, seq, behind=behind)
            seq, behind = page.seq, page.more
            if page.frames:
                await _write(response, page.frames)
            if clock.time() >= tick_at:
                await _write(response, self._teller.tick(seq))
                tick_at = clock.time() + _TICK_S
            if not behind:
                await self._wait(seq, min(_LOOK_S, tick_at - clock.time()))

    async def _begin(self, request: web.Request, response: web.StreamResponse, record: Enrolment) -> int:
        seq, reset = await self._teller.begin(_cursor(request.headers.get("Last-Event-ID")))
        await _write(response, RETRY if reset is None else RETRY + self._teller.reset(seq))
        _log.info("stream begun", agent=record.agent, after=seq, reset=reset.reason if reset else None)
        return seq

    def _session(self, record: Enrolment) -> str:
        """Return a word for what ends a stream: this start of the gateway, and what the agent may hear."""
        words = (self._parts.journal.epoch, *record.repositories)
        return sha256("\n".join(words).encode()).hexdigest()[:16]

    def _over(self, request: web.Request, record: Enrolment) -> Ending | None:
        if self._ending:
            return Ending.STOPPING
        if not any(each is request for each in self._by_agent.get(record.agent, ())):
            return Ending.CROWDED
        if request.transport is None or request.transport.is_closing():
            return Ending.GONE
        now = admitted(request, self._parts.enrolments())
        if now is None:
            return Ending.TOKEN
        return None if now.repositories == record.repositories else Ending.RIGHTS

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


class _StalledError(Exception):
    """The agent takes nothing any more."""


async def _write(response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(_STALLED_S):
            await response.write(data)
    except TimeoutError:
        raise _StalledError from None


def _let_go_of_the_dead(request: web.Request) -> None:
    """Have the kernel break a connection on which nobody acknowledges what was sent (Linux)."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if connection is not None and option is not None:
        with suppress(OSError):  # it is gone already
            connection.setsockopt(socket.IPPROTO_TCP, option, int(_DEAD_S * 1000))


def _cursor(value: str | None) -> Cursor | None:
    """Return the agent's cursor; what is none is as good as none, and answered by a reset."""
    try:
        return None if value is None else Cursor.parse(value)
    except ContractError:
        return None


def _seconds(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None
