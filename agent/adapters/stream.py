"""The queue as the gateway's own stream: server-sent events one way, POST the other.

One `listen` is one connection, or one poll after the other where a proxy keeps the stream back; who calls decides
when to open the next. A connection on which nothing comes for 45 s (three ticks) is dead, whatever the sockets say
(R16). Which way is used when is `agent.core.reconnect`'s to say; while polling, the stream is tried again without
anybody noticing.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Final, TypeVar

import aiohttp

from agent.adapters.access import ANSWER_BYTES, CONNECT_S, Access
from agent.adapters.standing import read_standing
from agent.core.hear import Ack
from agent.core.reconnect import Ending, Patience, Way, Ways
from agent.ports.queue import AccessRefusedError, QueueError, ReportRefusedError
from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.message import MEDIA_TYPE
from bellpull.contract.standing import AGENT_PATH, Standing
from bellpull.contract.stream import (
    AFTER,
    EVENTS_PATH,
    REPORTS_PATH,
    SEAL_HEADER,
    SESSION_HEADER,
    WAIT,
    Frame,
    FrameReader,
    MessageFrame,
    Receipt,
    TickFrame,
)
from bellpull.runtime.logs import logger
from bellpull.runtime.secret import Secret

__all__ = ["StreamQueue"]

_log = logger(__name__)
_SEND_S: Final = 15.0
_NO_REPORT: Final = frozenset({400, 403, 409, 413, 415})
_POLL_PAUSE_S: Final = 1.0
"""An answer with nothing new that comes sooner than this is none that was waited for: a cache's, perhaps."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_UNREACHED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_T = TypeVar("_T")
_AGREED: Final = {"Accept": "text/event-stream", "Cache-Control": "no-store"}


class StreamQueue:
    """Implements `agent.ports.queue.Queue` over HTTP.

    Args:
        session: of `bellpull.runtime.http.client`; its TLS settings and proxies are used.
        url: of the gateway's `agents` listener.
        token: gives the agent's token as of now, so that a rotated one is used at the next call.
        patience: for how long to put up with silence.
    """

    silence = timedelta(seconds=60)
    """The gateway ticks every 15 s."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        token: Callable[[], Secret],
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
    ) -> None:
        self._access = Access(session, url, token)
        self._patience = patience
        self._ways = Ways()

    async def listen(self, cursor: Cursor | None) -> AsyncGenerator[Frame, None]:
        """See `Queue.listen`."""
        while True:
            if self._way() is Way.POLL:
                async for frame in self._polls(cursor):
                    yield frame
                    cursor = frame.cursor
                if self._way() is Way.POLL:
                    return  # as a stream would have
            try:
                async for frame in self._stream(cursor):
                    yield frame
            except _SilentError as error:
                if error.spoke or self._way() is Way.STREAM:
                    raise
                continue
            return

    async def settle(self, frame: MessageFrame, ack: Ack) -> None:
        """See `Queue.settle`: the gateway keeps no place, the listener does; and has no dead letters."""

    async def send(self, seal: str, body: bytes) -> Receipt:
        """See `Queue.send`."""
        access = self._access
        headers = access.headers() | {"Content-Type": MEDIA_TYPE, SEAL_HEADER: seal}
        timeout = aiohttp.ClientTimeout(total=_SEND_S, sock_connect=CONNECT_S)
        with access.translated("answer to a report"):
            async with access.session.post(
                access.url + REPORTS_PATH, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status in _NO_REPORT:
                    raise ReportRefusedError(await access.answer(response))
                if response.status != 202:
                    raise await access.refusal(response)
                return Receipt.decode(await response.content.read(ANSWER_BYTES))

    async def standing(self) -> Standing | None:
        """See `Queue.standing`."""
        access = self._access
        timeout = aiohttp.ClientTimeout(total=_SEND_S, sock_connect=CONNECT_S)
        with access.translated("answer to how this agent stands"):
            async with access.session.get(
                access.url + AGENT_PATH, headers=access.headers(), timeout=timeout, allow_redirects=False
            ) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise await access.refusal(response)
                return await read_standing(response)

    async def _stream(self, cursor: Cursor | None) -> AsyncIterator[Frame]:
        """Yield the frames of one connection, and learn from how it ends."""
        last = {} if cursor is None else {"Last-Event-ID": str(cursor)}
        attempt = _Attempt(self._now(), self._ways.first_s(self._patience))
        reader = FrameReader()
        try:
            with self._access.translated("stream"):
                async with self._ask(attempt, headers=last) as response:
                    if response.status != 200:
                        raise await self._access.refusal(response)
                    while chunk := await attempt.within(response.content.readany()):
                        attempt.speaks(self._now(), self._patience.silence_s)
                        for frame in reader.feed(chunk):
                            yield frame
                        attempt.must_have_spoken_within(self._patience.soon_s)
        except QueueError as error:
            self._learn(attempt.ending(self._now(), self._patience, error), attempt)
            raise
        self._learn(attempt.ending(self._now(), self._patience, None), attempt)

    async def _polls(self, cursor: Cursor | None) -> AsyncIterator[Frame]:
        """Yield the frames of one poll after the other, until the stream is to be tried, or would have ended."""
        session: str | None = None
        wait_s = 0  # the first answer comes at once, and shows that the way is open
        while self._way() is Way.POLL:
            attempt, new = _Attempt(self._now(), wait_s + 2 * self._patience.soon_s), False
            query = {WAIT: str(wait_s)} | ({} if cursor is None else {AFTER: str(cursor)})
            with self._access.translated("answer to a poll"):
                async with self._ask(attempt, params=query) as response:
                    before, session = session, response.headers.get(SESSION_HEADER)
                    async for frame in self._answered(response, attempt, cursor):
                        yield frame
                        new |= frame.cursor != cursor and not isinstance(frame, TickFrame)
                        cursor = frame.cursor
            if before is not None and session != before:
                return
            if not new:
                await asyncio.sleep(attempt.begun + min(_POLL_PAUSE_S, wait_s) - self._now())
            wait_s = self._patience.wait_s

    async def _answered(
        self, response: aiohttp.ClientResponse, attempt: "_Attempt", cursor: Cursor | None
    ) -> AsyncIterator[Frame]:
        """Yield the frames of one poll; nothing new is a tick: the way is open."""
        if response.status == 204 and cursor is not None:
            yield TickFrame(cursor=cursor)
            return
        if response.status != 200:
            raise await self._access.refusal(response)
        reader, frames = FrameReader(), 0
        while chunk := await attempt.within(response.content.readany()):
            for frame in reader.feed(chunk):
                frames += 1
                yield frame
        if not frames:
            raise ContractError("", "has no frame")

    @asynccontextmanager
    async def _ask(
        self, attempt: "_Attempt", *, headers: Mapping[str, str] = _NOTHING, params: Mapping[str, str] = _NOTHING
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open one connection and yield its answer, whose head has to come as soon as the first byte."""
        access = self._access
        request = access.session.get(
            access.url + EVENTS_PATH,
            headers={**access.headers(), **_AGREED, **headers},
            params=params,
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
            allow_redirects=False,
        )
        async with await attempt.within(request) as response:
            yield response

    def _way(self) -> Way:
        return self._ways.way(self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _learn(self, ending: Ending, attempt: "_Attempt") -> None:
        now = self._now()
        self._ways = self._ways.after(ending, now, self._patience, stood_s=now - attempt.begun)
        if self._way() is Way.POLL:
            again_s = self._patience.stream_again_s
            _log.warning("events are polled: what is streamed is kept back on its way", stream_again_s=again_s)


class _SilentError(QueueError):
    """The connection is open, and nothing came in time."""

    spoke = False


class _Attempt:
    """One try: since when, when it first spoke, and how long it may be silent."""

    def __init__(self, begun: float, limit_s: float) -> None:
        self.begun = begun
        self._spoke: float | None = None
        self._limit_s = limit_s

    def speaks(self, now: float, limit_s: float) -> None:
        """Bytes came; from now on it may be silent for so long."""
        self._spoke = self._spoke or now
        self._limit_s = limit_s

    def must_have_spoken_within(self, soon_s: float) -> None:
        """Give up what spoke late: the gateway speaks at once, so something on the way gathers what it says.

        Raises:
            _SilentError: it did.
        """
        if self._spoke is not None and self._spoke - self.begun > soon_s:
            raise self._silent(f"the first byte of a stream took {self._spoke - self.begun:.0f} s")

    async def within(self, what: Awaitable[_T]) -> _T:
        """Wait for what is to come, as long as silence is put up with.

        Raises:
            _SilentError: it did not come.
        """
        limit = asyncio.timeout(self._limit_s)
        try:
            async with limit:
                return await what
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._silent(f"nothing came for {self._limit_s:g} s") from None

    def ending(self, now: float, patience: Patience, error: QueueError | None) -> Ending:
        """Return how it ended; what was closed late without a word was kept back until then."""
        if isinstance(error, _SilentError):
            return Ending.SILENT
        unreached = error is not None and isinstance(error.__cause__, _UNREACHED)
        if unreached or isinstance(error, AccessRefusedError):
            return Ending.UNOPENED
        if self._spoke is not None:
            return Ending.SPOKE
        return Ending.SILENT if now - self.begun > patience.soon_s else Ending.UNOPENED

    def _silent(self, what: str) -> _SilentError:
        error = _SilentError(what)
        error.spoke = self._spoke is not None
        return error
