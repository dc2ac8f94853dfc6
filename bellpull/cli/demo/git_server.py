"""A Git server on loopback: the real `git http-backend`, spoken to as a web server does (CGI, RFC 3875).

It serves the bare repositories below a folder, for reading only: whatever is not one of the two requests of a fetch
is answered 403. Nothing of the machine's own Git configuration takes part. Bodies are passed on as they come, never
held whole, and a compressed request stays compressed; a request body is bounded, because a fetch has small ones.
"""

import asyncio
import hmac
import os
import signal
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

from aiohttp import hdrs, web

__all__ = ["GitServer", "GitServerError"]

_CHUNK: Final = 64 * 1024
_MAX_REQUEST: Final = 16 * 1024 * 1024
_MAX_HEADERS: Final = 50
_DRAIN_S: Final = 0.5
_READING: Final = {
    ("GET", "/info/refs", "service=git-upload-pack"),
    ("POST", "/git-upload-pack", ""),
}
_PASSED_ON: Final = {
    hdrs.CONTENT_TYPE: "CONTENT_TYPE",
    hdrs.CONTENT_LENGTH: "CONTENT_LENGTH",
    hdrs.CONTENT_ENCODING: "HTTP_CONTENT_ENCODING",
    "Git-Protocol": "GIT_PROTOCOL",
}


class GitServerError(Exception):
    """The server cannot run here; the message says what is missing and how to get it."""


class _TooLargeError(Exception):
    pass


class GitServer:
    """Serves while its context lasts.

    Args:
        root: folder of bare repositories, however deep: `root/acme/site.git` is `URL/acme/site.git`.
        host: address to listen at.
        port: 0 for any that is free.
        username: if given, this user and `password` are asked for (HTTP Basic).
        password: of the user.
        ssl_context: if given, it speaks TLS with this.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        username: str | None = None,
        password: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._root = root.resolve()
        self._host = host
        self._port = port
        self._authorization = _basic(username, password or "") if username is not None else None
        self._ssl_context = ssl_context
        self._backend = Path()
        self._closing = AsyncExitStack()
        self._processes: set[asyncio.subprocess.Process] = set()
        self.requests = 0
        """How many requests have come."""

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:40123`."""
        return f"{'https' if self._ssl_context else 'http'}://{self._host}:{self._port}"

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            GitServerError: Git, or its `http-backend`, is not installed.
            OSError: the address is taken.
        """
        self._backend = await _find_backend()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(
            app, access_log=None, auto_decompress=False, handler_cancellation=True, shutdown_timeout=_DRAIN_S
        )
        async with AsyncExitStack() as starting:
            await runner.setup()
            starting.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._ssl_context).start()
            self._port = runner.addresses[0][1]
            self._closing = starting.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; requests in flight are cut off."""
        await self._closing.aclose()
        for process in tuple(self._processes):  # of handlers that were cut off while they ended theirs
            await _end(process)
        self._processes.clear()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        refused = self._refuse(request)
        if refused is not None:
            return refused
        answer: web.StreamResponse = web.Response(
            status=413, text=f"a request has at most {_MAX_REQUEST} bytes here\n"
        )
        with suppress(_TooLargeError):
            async with self._process(request) as process:
                answer = await _exchange(request, process)
        return answer

    def _refuse(self, request: web.Request) -> web.Response | None:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
        if self._authorization is not None and not hmac.compare_digest(given, self._authorization):
            return web.Response(
                status=401, headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="git"'}, text="who are you?\n"
            )
        if not any(
            request.method == method and request.path.endswith(end) and request.query_string == query
            for method, end, query in _READING
        ):
            return web.Response(status=403, text="this server is for fetching only\n")
        if ".." in request.path.split("/"):
            return web.Response(status=404, text="no such repository\n")
        return None

    @asynccontextmanager
    async def _process(self, request: web.Request) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            self._backend,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment(request),
        )
        self._processes.add(process)
        try:
            yield process
        finally:
            await _end(process)
            self._processes.discard(process)

    def _environment(self, request: web.Request) -> dict[str, str]:
        passed_on = {
            variable: request.headers[header] for header, variable in _PASSED_ON.items() if header in request.headers
        }
        return _hermetic() | {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self._root),
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REMOTE_ADDR": request.remote or "",
            "REQUEST_METHOD": request.method,
            **passed_on,
        }


def _basic(username: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{username}:{password}".encode())


def _hermetic() -> dict[str, str]:
    """Return an environment in which Git reads no configuration but the repository's, whoever owns that."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


async def _find_backend() -> Path:
    try:
        process = await asyncio.create_subprocess_exec(
            *("git", "--exec-path"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=_hermetic(),
        )
    except FileNotFoundError:
        raise GitServerError("git is not installed (Debian, Ubuntu: apt-get install git)") from None
    said, _ = await process.communicate()
    backend = Path(os.fsdecode(said.strip())) / "git-http-backend"
    if not await asyncio.to_thread(os.access, backend, os.X_OK):
        raise GitServerError(f"this git has no http-backend: {backend} is not there; install Git as a whole")
    return backend


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and take what it still says, so that nothing of it is left in the loop."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # Process.kill() would take the exit code from the loop
    while process.stdout is not None and await process.stdout.read(_CHUNK):
        pass
    await process.wait()


async def _exchange(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    """Pass the request's body on while the answer is passed back."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pass_on(request, process))
            answer = tasks.create_task(_pass_back(request, process))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return answer.result()


async def _pass_on(request: web.Request, process: asyncio.subprocess.Process) -> None:
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 - it was asked for
    passed_on = 0
    with suppress(ConnectionError):  # it answers without having read everything when it refuses
        async for chunk in request.content.iter_chunked(_CHUNK):
            passed_on += len(chunk)
            if passed_on > _MAX_REQUEST:
                raise _TooLargeError
            stdin.write(chunk)
            await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _pass_back(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was asked for
    headers = await _headers(stdout)
    if not headers:
        return web.Response(status=502, text="git http-backend gave no answer\n")
    status = int(headers.pop("Status", "200").split()[0])
    response = web.StreamResponse(status=status, headers=headers)
    with suppress(ConnectionError):  # a client that has seen enough hangs up
        await response.prepare(request)
        while chunk := await stdout.read(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
    return response


async def _headers(stdout: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while len(headers) < _MAX_HEADERS and (line := (await stdout.readline()).strip()):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    return headers
