"""Finds out why a server was not reached: asks again what an error leaves open, without any secret."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from bellpull.cli.check_cause import Cause, Peer, cause_of, not_reached
from bellpull.cli.finding import Finding, bad
from bellpull.runtime.http import client
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["dialled", "http_peer", "of_broker_at", "of_ca", "of_error", "of_url", "speaks_tls"]

_DIAL_S: Final = 5.0
_TOTAL_S: Final = 10.0


def http_peer(url: str, *, what: str, who: str, setting: str, ca: str) -> Peer:
    """Return whom a URL of HTTP leads to, and through which proxy of the environment."""
    parsed = URL(url)
    host, port = parsed.host or "", parsed.port or 0
    proxy = "" if proxy_bypass(host) else getproxies().get(parsed.scheme, "")
    shown = URL(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
    return Peer(
        what=what,
        who=who,
        host=host,
        port=port,
        url=setting,
        ca=ca,
        proxy="" if shown is None else f"{shown.host}:{shown.port}",
    )


async def of_ca(what: str, ca: Path | None) -> Finding | None:
    """Return what is wrong with a file of authorities; nothing where it can be used, or none is named."""
    try:
        await asyncio.to_thread(ssl.create_default_context, cafile=ca)
    except ssl.SSLError:
        return bad(what, f"{ca} holds no certificate in PEM", "put the authority's certificate there")
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        return bad(what, f"{ca} cannot be read: {problem}", "put the authority's certificate there, in PEM")
    return None


async def of_url(peer: Peer, url: str, context: ssl.SSLContext) -> Finding | None:
    """Return why `url` cannot be asked; nothing where something answers that is no proxy."""
    try:
        async with (
            client(total_s=_TOTAL_S, connect_s=_DIAL_S) as session,
            session.get(url, ssl=context, allow_redirects=False) as response,
        ):
            if response.status == 407:
                return not_reached(peer, Cause.PROXY_LOGIN)
            plain_to_tls = response.status == 400 and await _wants_tls(peer, url)
            return not_reached(peer, Cause.ONLY_TLS) if plain_to_tls else None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return await of_error(peer, error, url)


async def of_error(peer: Peer, error: BaseException, url: str) -> Finding | None:
    """Return what an error of asking `url` comes from; nothing where it comes from nothing that is known."""
    cause = cause_of(error)
    if cause in (None, Cause.HUNG_UP) and await _wants_tls(peer, url):
        cause = Cause.ONLY_TLS
    if cause is Cause.NO_CONNECTION and not peer.proxy and await asyncio.to_thread(dialled, peer) is None:
        cause = Cause.NO_ANSWER  # to TLS, that is
    return None if cause is None else not_reached(peer, cause, _more(error, cause))


def of_broker_at(settings: RabbitMQSettings, folder: Path, what: str) -> Finding | None:
    """Return why RabbitMQ is not even spoken to; nothing where it is, or its files cannot be read. Blocks."""
    peer = Peer(
        what=what,
        who="RabbitMQ",
        host=settings.host,
        port=settings.port,
        url=f"{what}.url",
        ca=f"{what}.ca",
        plain="amqp://",
        secure="amqps://",
    )
    try:
        context = _context(settings, folder) if settings.tls else None
    except (OSError, ValueError):
        return None  # which is said by who tried to connect
    cause = dialled(peer, context)
    if cause is None and context is None and speaks_tls(peer):
        cause = Cause.ONLY_TLS
    return None if cause is None else not_reached(peer, cause)


def _context(settings: RabbitMQSettings, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if settings.ca is None else folder / settings.ca)
    if settings.certificate is not None and settings.key is not None:
        context.load_cert_chain(folder / settings.certificate, folder / settings.key, password="")
    return context


def _more(error: BaseException, cause: Cause) -> str:
    if cause is Cause.PROXY_REFUSED and isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status}"
    if cause is Cause.TLS_FAILED:
        inner = getattr(error, "os_error", error)
        return str(getattr(inner, "reason", None) or "").replace("_", " ").lower()
    return ""


async def _wants_tls(peer: Peer, url: str) -> bool:
    return not peer.proxy and url.startswith(peer.plain) and await asyncio.to_thread(speaks_tls, peer)


def dialled(peer: Peer, context: ssl.SSLContext | None = None) -> Cause | None:
    """Connect, with TLS where there is a context, and hang up; return what kept us from it. Blocks."""
    try:
        line = socket.create_connection((peer.host, peer.port), _DIAL_S)
    except TimeoutError:
        return Cause.NO_CONNECTION
    except OSError as error:
        return cause_of(error)
    with line:
        try:
            if context is not None:
                context.wrap_socket(line, server_hostname=peer.host).close()
        except OSError as error:
            return cause_of(error)
    return None


def speaks_tls(peer: Peer) -> bool:
    """Whether TLS is answered with TLS, be it with a refusal; nothing is said over it. Blocks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who it is does not matter here
    return dialled(peer, context) in (None, Cause.TLS_FAILED)
