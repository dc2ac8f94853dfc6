"""Connections to RabbitMQ: the only module that knows how the client library makes one.

It does not reconnect by itself: whoever uses a connection knows what has to be looked at before it goes on. The
password and the certificates are read at each connect, so that new ones need no restart. What the library logs is
left out, as all of it is raised too; no error of ours has the password in it.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aio_pika import Connection
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from bellpull.runtime.config import SecretError, read_secret
from bellpull.runtime.rabbitmq.properties import read_with_care
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings

__all__ = ["FAILURES", "BrokerError", "LoginRefusedError", "check", "connect", "uncancelled"]

FAILURES: Final = tuple(CONNECTION_EXCEPTIONS)
"""All that the library raises when something is wrong with a connection or a channel."""
_HEARTBEAT_S: Final = 20
_CONNECT_S: Final = 10.0
_CLOSE_S: Final = 5.0
"""The library gives up by itself after some two seconds; cut short, it leaves something behind."""

read_with_care()
for _library in ("aiormq", "aio_pika"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


class BrokerError(Exception):
    """The broker cannot be reached, or does not let us in; the message says why, and where."""


class LoginRefusedError(BrokerError):
    """The broker knows no such user or password, or has no virtual host that the user may enter."""


@asynccontextmanager
async def connect(
    settings: RabbitMQSettings, folder: Path, name: str, *, timeout_s: float = _CONNECT_S
) -> AsyncIterator[AbstractConnection]:
    """Connect, and close it at the end; what goes wrong while it closes is nobody's business any more.

    Args:
        settings: where to, and as whom.
        folder: of the configuration file; paths in the settings are relative to it.
        name: what the broker shows for this connection, such as `bellpull gateway NAME`.
        timeout_s: for all of connecting.

    Raises:
        BrokerError: it did not come about.
    """
    where = f"{settings.host}:{settings.port}"
    url, context = await asyncio.to_thread(_prepare, settings, folder)
    connection = Connection(url, ssl_context=context, client_properties={"connection_name": name})
    try:
        await _open(connection, settings, where, timeout_s)
        yield connection
    finally:
        await _close(connection)


@contextmanager
def uncancelled() -> Iterator[None]:
    """Tell the library's cancellation from ours: a connection that goes cancels what waits on it.

    Who waits was not cancelled by anybody, and would end by it without a word.

    Raises:
        ConnectionError: the connection went; one of `FAILURES`.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was closed") from error


def check(settings: RabbitMQSettings, folder: Path) -> None:
    """Read the files that the settings name, without connecting; blocks.

    Raises:
        BrokerError: one of them is of no use.
    """
    _prepare(settings, folder)


async def _open(connection: Connection, settings: RabbitMQSettings, where: str, timeout_s: float) -> None:
    try:
        with uncancelled():
            async with asyncio.timeout(timeout_s):
                await connection.connect()
    except TimeoutError as error:
        raise BrokerError(f"{where}: no answer within {timeout_s:g} s") from error
    except (AuthenticationError, ProbableAuthenticationError) as error:
        raise LoginRefusedError(f"{where}: does not let {settings.username} in: {error}") from error
    except InvalidFrameError as error:  # it hung up instead of opening the virtual host; the library drops the reason
        raise LoginRefusedError(
            f"{where}: does not open vhost {settings.vhost} to {settings.username}: there is none, or it may not "
            "enter it, or it has all the connections that its limits allow"
        ) from error
    except FAILURES as error:
        raise BrokerError(f"{where}: {_why(error)}") from error


async def _close(connection: Connection) -> None:
    """Close it, for good.

    One that was not closed to the end, or that never came about, closes itself when it is collected: then, and in
    whatever thread that happens, where it leaves a coroutine behind. Closed once more, it knows that it is closed.
    """
    try:
        with suppress(*FAILURES), uncancelled():
            async with asyncio.timeout(_CLOSE_S):
                await connection.close()
    finally:
        with suppress(*FAILURES), uncancelled():
            await connection.close()


def _prepare(settings: RabbitMQSettings, folder: Path) -> tuple[URL, ssl.SSLContext | None]:
    """Read what is needed; blocks."""
    try:
        password = None if settings.password is None else read_secret(settings.password, folder).reveal().decode()
        context = _context(settings, folder) if settings.tls else None
    except SecretError as error:
        raise BrokerError(f"password: {error}") from error
    except UnicodeDecodeError:
        raise BrokerError("password: is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise BrokerError(f"ca, certificate or key cannot be used: {_why(error)}") from error
    url = URL.build(
        scheme="amqps" if settings.tls else "amqp",
        user=settings.username,
        password=password,
        host=settings.host,
        port=settings.port,
        query={"heartbeat": _HEARTBEAT_S, "auth": "EXTERNAL" if settings.external else "PLAIN"},
    )
    path = "/" if settings.vhost == "/" else f"/{quote(settings.vhost, safe='')}"
    return url.with_path(path, encoded=True, keep_query=True), context


def _context(settings: RabbitMQSettings, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if settings.ca is None else folder / settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate is not None and settings.key is not None:
        context.load_cert_chain(folder / settings.certificate, folder / settings.key, password=_no_password)
    return context


def _no_password() -> str:
    """Keep OpenSSL from asking at the terminal."""
    raise ValueError("the key is encrypted: what starts by itself needs a key without a password")


def _why(error: BaseException) -> str:
    cause = error.__cause__ or error  # the library makes errors of its own of those of TLS, with their numbers
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message} (ca says who may sign it)"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS: {cause.reason or cause}"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
