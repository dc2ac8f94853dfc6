"""A listener that takes requests as an API server does, and shows what came: over TLS or not, on a free port."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trustme

__all__ = ["OK", "UNAUTHORIZED", "Listener", "Seen", "listen", "said", "server_tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request: its head, and who the client's certificate says it is."""

    head: str
    subject: str | None

    @property
    def authorization(self) -> str | None:
        """The value of that header."""
        return next((line[15:] for line in self.head.split("\r\n") if line.startswith("Authorization: ")), None)


@dataclass(slots=True)
class Listener:
    """Where it listens, and what it saw."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0


def said(status: str, *headers: str, body: bytes = b"{}") -> bytes:
    """Return an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


OK = said("200 OK")
UNAUTHORIZED = said("401 Unauthorized")


def server_tls(authority: trustme.CA, *names: str, clients: bool = False) -> ssl.SSLContext:
    """Return what a server of these names needs; `clients` are to show a certificate, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if clients:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def listen(
    answer: Callable[[Seen], bytes] = lambda _: OK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    """Listen while the context lasts; connections are kept open."""
    listener, writers = Listener(), set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        writers.add(writer)
        shown = writer.get_extra_info("peercert") or {}
        subject = next(
            (value for part in shown.get("subject", ()) for key, value in part if key == "commonName"), None
        )
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                listener.seen.append(Seen(head=head, subject=subject))
                writer.write(answer(listener.seen[-1]))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
