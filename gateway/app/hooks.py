"""The `hooks` listener: the only part that strangers reach. POST to a source, nothing else.

A request passes, in this order: its source, what stands before the body, the size while reading, the signature,
the content, the journal. Each has its own refusal, and only the last but one looks at content. What is logged is a
line for each delivery: no body, and of the headers only the delivery's id and the event's name.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Final, assert_never

import orjson
from aiohttp import web

from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from gateway.core.providers import PROVIDERS
from gateway.core.receive import Accepted, Ignored, Rejected, Source, receive, refuse_head
from gateway.core.request import Headers, Request
from gateway.ports.journal import Journal, JournalError

__all__ = ["MAX_BODY", "Hooks"]

MAX_BODY: Final = 25 * 1024 * 1024
"""GitHub's own limit; it sends nothing larger."""
_BODY_S: Final = 10.0
"""A body that takes longer is given up: its sender has done so too (GitHub after 10 s)."""
_RETRY_AFTER: Final = "5"

_log = logger("gateway.hooks")


class Hooks:
    """Takes deliveries.

    Args:
        sources: gives the sources as of now, by name.
        journal: where events are written before anybody is answered.
        metrics: gets the counters.
    """

    def __init__(self, sources: Callable[[], Mapping[str, Source]], journal: Journal, metrics: Metrics) -> None:
        self._sources = sources
        self._journal = journal
        self._deliveries = metrics.counter(
            "bellpull_deliveries", "Deliveries by source and outcome.", ("source", "outcome", "status")
        )
        self._seconds = metrics.histogram("bellpull_delivery_seconds", "From a delivery's head to its answer.")

    def app(self) -> web.Application:
        """Return the listener's application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/hooks/{source}", self._take)
        app.router.add_route("*", "/{anything:.*}", _not_found)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        source = self._sources().get(request.match_info["source"])
        if source is None:
            return await _not_found(request)
        received, begun = utc_now(), monotonic()
        headers = Headers(tuple(request.raw_headers))
        body = b""
        outcome: Accepted | Ignored | Rejected | None = refuse_head(request.method, headers, source.provider)
        if outcome is None:
            read = await _read(request)
            if isinstance(read, Rejected):
                outcome = read
            else:
                body = read
                outcome = receive(Request(headers=headers, body=body, received=received), source, utc_now())
        response, fields = await self._answer(outcome, source, received)
        fields |= {"bytes": len(body), "remote": request.remote}
        self._note(source, headers, outcome, status=response.status, fields=fields, seconds=monotonic() - begun)
        if not request.content.is_eof():
            response.force_close()
        return response

    async def _answer(
        self, outcome: Accepted | Ignored | Rejected, source: Source, now: datetime
    ) -> tuple[web.Response, dict[str, object]]:
        match outcome:
            case Accepted():
                return await self._store(outcome, source, now)
            case Ignored(reason=reason):
                return _json(200, {"ignored": reason}), {"reason": reason}
            case Rejected(status=status, reason=reason, told=told):
                return _json(status, {"error": told}), {"reason": reason}
            case _:
                assert_never(outcome)

    async def _store(
        self, accepted: Accepted, source: Source, now: datetime
    ) -> tuple[web.Response, dict[str, object]]:
        try:
            stored = await self._journal.accept(
                accepted.messages,
                source=source.name,
                delivery=accepted.delivery,
                body_digest=accepted.digest,
                now=now,
            )
        except JournalError as error:
            response = _json(503, {"error": "the journal cannot write now, come again"})
            response.headers["Retry-After"] = _RETRY_AFTER
            return response, {"reason": str(error)}
        events = list(stored.event_ids)
        return _json(202, {"events": events}), {"events": events, "folded": stored.folded}

    def _note(
        self,
        source: Source,
        headers: Headers,
        outcome: Accepted | Ignored | Rejected,
        *,
        status: int,
        fields: Mapping[str, object],
        seconds: float,
    ) -> None:
        word = "unstored" if status == 503 else type(outcome).__name__.lower()
        self._deliveries.labels(source.name, word, str(status)).inc()
        self._seconds.observe(seconds)
        provider = PROVIDERS[source.provider]
        log = _log.info if status < 400 else _log.warning
        log(
            "delivery",
            source=source.name,
            kind=provider.event_name(headers),
            delivery=provider.delivery_id(headers),
            outcome=word,
            status=status,
            ms=round(seconds * 1000, 2),
            **fields,
        )


async def _read(request: web.Request) -> bytes | Rejected:
    """Read the body, counting while it comes."""
    if request.content_length is not None and request.content_length > MAX_BODY:
        return _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    return _too_large()
    except TimeoutError:
        reason = f"the body took more than {_BODY_S:.0f} s"
        return Rejected(status=408, reason=reason, told=reason)
    return bytes(body)


def _too_large() -> Rejected:
    reason = f"the body is larger than {MAX_BODY} bytes"
    return Rejected(status=413, reason=reason, told=reason)


async def _not_found(_: web.Request) -> web.Response:
    response = _json(404, {"error": "there is nothing here"})
    response.force_close()
    return response


def _json(status: int, body: Mapping[str, object]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
