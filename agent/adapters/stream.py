"""The queue as the gateway's own stream: server-sent events one way, POST the other.

One connection is one `listen`; who calls decides when to open the next. A connection on which nothing comes for
45 s (three ticks) is dead, whatever the sockets say (R16).
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp

from agent.ports.queue import AccessRefusedError, QueueError, ReportRefusedError
from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.message import MEDIA_TYPE
from bellpull.contract.stream import EVENTS_PATH, REPORTS_PATH, SEAL_HEADER, Frame, FrameReader, Receipt
from bellpull.runtime.secret import Secret

__all__ = ["StreamQueue"]

_SILENCE_S: Final = 45.0
_CONNECT_S: Final = 10.0
_SEND_S: Final = 15.0
_NO_ACCESS: Final = frozenset({401, 403})
_NO_REPORT: Final = frozenset({400, 403, 409, 413, 415})
_ANSWER_BYTES: Final = 4096


class StreamQueue:
    """Implements `agent.ports.queue.Queue` over HTTP.

    Args:
        session: of `bellpull.runtime.http.client`; its TLS settings and proxies are used.
        url: of the gateway's `agents` listener.
        token: gives the agent's token as of now, so that a rotated one is used at the next call.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: Callable[[], Secret]) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token = token

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Frame]:
        """See `Queue.listen`."""
        headers = self._headers() | {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if cursor is not None:
            headers["Last-Event-ID"] = str(cursor)
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
        reader = FrameReader()
        try:
            async with self._session.get(
                self._url + EVENTS_PATH, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise await self._refusal(response)
                async for chunk in response.content.iter_any():
                    for frame in reader.feed(chunk):
                        yield frame
        except ContractError as error:
            raise QueueError(f"{self._url}: what came is no stream of a gateway: {error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise QueueError(self._say(error)) from error

    async def send(self, seal: str, body: bytes) -> Receipt:
        """See `Queue.send`."""
        headers = self._headers() | {"Content-Type": MEDIA_TYPE, SEAL_HEADER: seal}
        timeout = aiohttp.ClientTimeout(total=_SEND_S, sock_connect=_CONNECT_S)
        try:
            async with self._session.post(
                self._url + REPORTS_PATH, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status in _NO_REPORT:
                    raise ReportRefusedError(await self._answer(response))
                if response.status != 202:
                    raise await self._refusal(response)
                return Receipt.decode(await response.content.read(_ANSWER_BYTES))
        except ContractError as error:
            raise QueueError(f"{self._url}: the answer to a report is none of a gateway: {error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise QueueError(self._say(error)) from error

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token().reveal().decode('ascii', 'replace')}"}

    async def _refusal(self, response: aiohttp.ClientResponse) -> QueueError:
        message = await self._answer(response)
        if response.status in _NO_ACCESS:
            return AccessRefusedError(f"{message}: is this agent enrolled, with this token?")
        return QueueError(message)

    async def _answer(self, response: aiohttp.ClientResponse) -> str:
        said = (await response.content.read(_ANSWER_BYTES)).decode("utf-8", "replace").strip()
        return f"{self._url}: answered {response.status} {said[:200]!r}"

    def _say(self, error: Exception) -> str:
        reason = "nothing came in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return f"{self._url}: {reason}"
