"""What the documentation's pages take for granted: a repository at github.com, and the default ports."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme

from bellpull.cli.demo.git_server import GitServer
from tests.parts.git import Repository
from tests.parts.proxy import Proxy

__all__ = ["free_ports", "github"]

_PORTS: Final = (8080, 8081, 8082)


@pytest.fixture
def free_ports() -> None:
    """The default ports, or the test says that it cannot run beside what uses them."""
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is in use here, and this page uses it")


@asynccontextmanager
async def github(folder: Path) -> AsyncIterator[tuple[Repository, dict[str, str]]]:
    """Yield a repository that is https://github.com/acme/site for who has this environment."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("github.com").configure_cert(context)
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(GitServer(folder / "git", ssl_context=context))
        proxy = await stack.enter_async_context(Proxy({"github.com:443": server.url.removeprefix("https://")}))
        repository = await asyncio.to_thread(Repository, folder / "git", "acme/site")
        yield repository, {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(trusted), "GIT_SSL_CAINFO": str(trusted)}
