"""HTTP, asked for: with an end to every wait, and the certificates that are trusted."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import hdrs

__all__ = ["client"]


@asynccontextmanager
async def client(
    *, ca: Path | None = None, total_s: float | None = 30.0, connect_s: float = 10.0, read_s: float | None = 45.0
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session that gives up on connecting, on silence and in all after these seconds (None: never).

    It honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, keeps no cookies, and trusts the system's certificates or, if
    given, those in `ca` only.

    Raises:
        OSError: `ca` cannot be read (ssl.SSLError: it holds no certificates).
    """
    context = await asyncio.to_thread(ssl.create_default_context, cafile=ca)
    timeout = aiohttp.ClientTimeout(total=total_s, connect=connect_s, sock_connect=connect_s, sock_read=read_s)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=timeout,
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={hdrs.ACCEPT_ENCODING: "identity"},
    ) as session:
        yield session
