"""Servers to be loaded, each a process of its own: from a bare handler to what the gateway is made of.

Run as `python -m tests.bench.servers KIND FOLDER`; it prints its port, and ends with its standard input. Between the
floor and the gateway are its own parts with one left out, so that the differences say what each costs:

- `bare`: aiohttp; the body is read, 202 is answered;
- `memory`: the gateway's hooks listener with a journal that keeps nothing, silent;
- `silent`: the same with the journal on disk, synced.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, cast

import uvloop
from aiohttp import web

from bellpull.contract.message import Message
from bellpull.contract.text import Name
from bellpull.runtime import logs
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import serve
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.secret import Secret
from bellpull.runtime.service import calm_collector
from gateway.adapters.journal import open_journal
from gateway.app.hooks import Hooks
from gateway.ports.journal import Journal, Stored
from tests.gateway.github import SOURCE

__all__ = ["main"]

_ANYWHERE: Final = Address(host="127.0.0.1", port=0)


async def _bare(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=b'{"events":[]}', content_type="application/json")


class _Forgetful:
    """The part of a journal that the hooks listener needs, without a disk."""

    async def accept(
        self, messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
    ) -> Stored:
        del source, delivery, body_digest, now
        return Stored(event_ids=tuple(message.id for message in messages), folded=False)


@asynccontextmanager
async def _listening(kind: str, folder: Path) -> AsyncIterator[int]:
    if kind == "bare":
        app = web.Application()
        app.router.add_post("/hooks/{source}", _bare)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, _ANYWHERE.host, _ANYWHERE.port).start()
        yield runner.addresses[0][1]
        await runner.cleanup()
    elif kind == "memory":
        async with _hooks(cast("Journal", _Forgetful())) as port:
            yield port
    else:
        async with open_journal(folder / f"{kind}.db", utc_now()) as journal, _hooks(journal) as port:
            yield port


@asynccontextmanager
async def _hooks(journal: Journal) -> AsyncIterator[int]:
    sources = {"github": replace(SOURCE, secrets=(*SOURCE.secrets, Secret(b"old one")))}
    async with serve(Hooks(lambda: sources, journal, Metrics()).app(), _ANYWHERE, name="hooks") as address:
        yield address.port


async def _main(kind: str, folder: Path) -> None:
    async with _listening(kind, folder) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def main(words: list[str]) -> None:
    """Serve until standard input ends."""
    kind, folder = words
    logs.configure("bench", level="error")
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(kind, Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
