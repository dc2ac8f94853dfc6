"""What `bellpull gateway drain` does: has a gateway that runs take no more pushes, or sends what one left behind."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

import aiohttp
import typer

from bellpull.cli.check_tls import fingerprint
from bellpull.cli.failure import FailureError
from bellpull.runtime import logs
from bellpull.runtime.files import locked
from bellpull.runtime.http import client
from bellpull.runtime.tls import TlsError
from gateway.app.config import GatewayConfig, load_config
from gateway.app.drain import FILE
from gateway.app.orphan import send_all

__all__ = ["drain"]

_LOOK_S: Final = 0.5
_NOTICE_S: Final = 20.0
"""A gateway looks for the file every two seconds."""


def drain(path: Path) -> str:
    """Return what there is to say once the journal of the configuration at `path` has nothing left to send.

    Raises:
        FailureError: it cannot come to that.
        ConfigError: everything that is wrong with the configuration.
        Fatal: the journal cannot be had.
        OSError: the gateway's folder cannot be written.
    """
    config = load_config(path)
    data = path.parent / config.data
    if config.queue is None:
        raise FailureError(
            "queue is not configured: agents hear this gateway's own stream, so nothing waits to leave"
        )
    if not data.is_dir():
        raise FailureError(f"{data} is not there: did the gateway ever run with this configuration?")
    said = _Said()
    if locked(data):
        (data / FILE).touch(mode=0o600)
        asyncio.run(_watch(config, path.parent, said))
        return "drained: RabbitMQ has all that this gateway accepted; it takes no pushes until it is started anew"
    logs.configure("gateway", level="critical")
    send_all(config, path, lambda left, problems: said(f"{left} events wait for RabbitMQ", *problems))
    return "drained: RabbitMQ has all that this journal accepted; no gateway runs on it"


class _Said:
    """Says on standard error what is new."""

    def __init__(self) -> None:
        self._last: tuple[str, ...] = ()

    def __call__(self, *lines: str) -> None:
        for line in lines:
            if line not in self._last:
                typer.echo(line, err=True)
        self._last = lines


async def _watch(config: GatewayConfig, folder: Path, said: _Said) -> None:
    """Return once the gateway says that it is drained."""
    begun = monotonic()
    async with client(total_s=10) as session:
        while True:
            word, problems = await _state(session, config, folder)
            if word == "drained":
                return
            if word == "draining":
                said("draining: no more pushes are taken", *problems)
            elif monotonic() - begun > _NOTICE_S:
                raise FailureError(f"the gateway is {word}, and takes no note of {folder / config.data / FILE}")
            await asyncio.sleep(_LOOK_S)


async def _state(session: aiohttp.ClientSession, config: GatewayConfig, folder: Path) -> tuple[str, Sequence[str]]:
    """Return what `/readyz` says."""
    console = config.listen.console
    url = f"{console.scheme}://{console.address}/readyz"
    try:
        async with session.get(url, ssl=fingerprint(console.tls, folder)) as response:
            said = dict(await response.json())
            return said["state"], said.get("problems", ())
    except (aiohttp.ClientError, TimeoutError, TlsError, TypeError, ValueError, KeyError):
        ended = "" if locked(folder / config.data) else ": it has ended; do this again, to send what it left"
        raise FailureError(f"{url} does not say how far the gateway is{ended}") from None
