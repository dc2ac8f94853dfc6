"""One API server, over HTTP: sends requests, and returns every answer as it is.

Bytes are JSON by orjson. A request has one deadline for all its attempts; connections are kept, so that a commit
finds them open. A credential that is no longer taken is read again, once for each request.
"""

import asyncio
import random
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from agent.adapters.kubernetes.access import ACCOUNT, Access, Credential, read_access
from agent.adapters.kubernetes.lines import events
from agent.adapters.kubernetes.reasons import CONNECT_S, NO_USE_AGAIN, reason
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Answer, Request
from agent.core.kubernetes.retry import pause_s
from agent.ports.cluster import ClusterError, RefusedError
from bellpull import __version__
from bellpull.runtime.logs import logger

__all__ = ["Client", "connect"]

_log = logger(__name__)
_KEEP_S: Final = 300.0
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_LARGE: Final = 1 << 19


class Client:
    """Speaks to the API server that `access` names; `session` is its own."""

    def __init__(self, access: Access, session: aiohttp.ClientSession) -> None:
        self._access = access
        self._session = session

    @property
    def url(self) -> str:
        """Where the API server is."""
        return self._access.url

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self._access.namespace

    @property
    def context(self) -> str | None:
        """The context of the kubeconfig; none for a pod's own account."""
        return self._access.context

    async def send(self, request: Request) -> Answer:
        """Return the answer, after what passes by itself has passed.

        Raises:
            ClusterError: there is none.
        """
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._persist(request)
        except TimeoutError:
            problem = f"no answer to {request.method} {request.path} within {request.timeout_s:.0f} s"
            raise ClusterError(f"{self.url}: {problem}") from None

    async def watch(self, request: Request, *, silence_s: float) -> AsyncGenerator[Object | None]:
        """Yield None once the server shows something, then that, event by event, until the server ends it.

        Raises:
            RefusedError: the server says no.
            ClusterError: it cannot be reached, the connection broke, or it was silent for too long.
        """
        shown = await self._access.credential()
        for is_last in (False, True):
            try:
                async with self._ask(request, shown, silence_s=silence_s) as response:
                    if response.status == _OK:
                        yield None
                        async for event in events(response):
                            yield event
                        return
                    answer = _answer(response.status, response.headers, await response.read())
            except aiohttp.SocketTimeoutError:
                problem = f"a watch of {request.path} shows nothing for {silence_s:.0f} s"
                raise ClusterError(f"{self.url}: {problem}") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise ClusterError(f"{self.url}: {reason(error)}") from None
            if answer.status != _UNAUTHORIZED or is_last:
                raise RefusedError(answer)
            await self._access.renew(shown)
            shown = await self._access.credential()

    async def _persist(self, request: Request) -> Answer:
        """Send it until an answer stands, or what it waits for would come too late."""
        until = asyncio.get_running_loop().time() + request.timeout_s
        attempt, renewed = 1, False
        while True:
            shown = await self._access.credential()
            answer, error = await self._try(request, shown)
            if answer is not None and answer.status == _UNAUTHORIZED and not renewed:
                renewed = True
                await self._access.renew(shown)
                continue
            pause = pause_s(request, answer, attempt, random.random())
            if pause is None or asyncio.get_running_loop().time() + pause >= until:
                if answer is None:
                    raise ClusterError(f"{self.url}: {reason(error)}")
                return answer
            status = answer.status if answer else None
            _log.info(
                "an API server is asked again", path=request.path, status=status, attempt=attempt, pause_s=pause
            )
            await asyncio.sleep(pause)
            attempt += 1

    async def _try(self, request: Request, shown: Credential) -> tuple[Answer | None, Exception | None]:
        try:
            return await self._once(request, shown), None
        except NO_USE_AGAIN as error:
            raise ClusterError(f"{self.url}: {reason(error)}") from None
        except (aiohttp.ClientError, OSError) as error:
            return None, error

    async def _once(self, request: Request, shown: Credential) -> Answer:
        async with self._ask(request, shown) as response:
            return _answer(response.status, response.headers, await response.read())

    def _ask(
        self, request: Request, shown: Credential, *, silence_s: float | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.request(
            request.method,
            self._access.url + request.path,
            params=request.query,
            data=_body(request),
            headers=_headers(request, shown),
            proxy=self._access.proxy,
            # Connections are shared by what has the same one; so a new certificate makes new connections.
            ssl=shown.tls if shown.tls is not None else False,
            server_hostname=self._access.server_name,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s),
        )


@asynccontextmanager
async def connect(
    kubeconfig: Path | None = None, context: str | None = None, *, account: Path = ACCOUNT
) -> AsyncIterator[Client]:
    """Yield a client of the cluster that a kubeconfig names (see `read_access`); nothing is asked of it yet.

    Raises:
        ClusterError: it names none.
    """
    access = await read_access(kubeconfig, context, account=account)
    connector = aiohttp.TCPConnector(
        limit=0,  # who applies bounds what it has under way
        keepalive_timeout=_KEEP_S,
        socket_factory=_socket,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": f"bellpull/{__version__}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        trust_env=False,  # it would show an API server what ~/.netrc has for its host
        read_bufsize=1 << 20,
    ) as session:
        yield Client(access, session)


def _headers(request: Request, shown: Credential) -> dict[str, str]:
    headers = {"Accept": request.accept, **request.headers}
    if request.body is not None:
        headers["Content-Type"] = request.content
    if shown.authorization:
        headers["Authorization"] = shown.authorization
    if request.user:
        headers["Impersonate-User"] = request.user
    return headers


def _body(request: Request) -> bytes | BytesIO | None:
    """Return the bytes; large ones as a file, which is sent piece by piece."""
    if request.body is None:
        return None
    body = orjson.dumps(request.body)
    return BytesIO(body) if len(body) > _LARGE else body


def _socket(info: tuple[Any, ...]) -> socket.socket:
    """Make a socket whose other end is asked now and then whether it is still there."""
    family, kind, protocol, *_ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 3)):
        made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


def _answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    warnings = headers.getall("Warning", []) if hasattr(headers, "getall") else []
    return Answer(
        status=status,
        body=value if isinstance(value, dict) else {"message": body[:500].decode("utf-8", "replace").strip()},
        warnings=tuple(_warning(each) for each in warnings),
        retry_after_s=_seconds(headers.get("Retry-After")),
        etag=headers.get("ETag"),
    )


def _warning(header: str) -> str:
    """Return the text of `299 - "TEXT"`."""
    _, _, quoted = header.partition('"')
    return quoted.rpartition('"')[0].replace('\\"', '"').replace("\\\\", "\\")


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
