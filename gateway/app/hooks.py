"""The `hooks` listener: the only part that strangers reach. POST to a source, nothing else.

A request passes, in this order: its source, what stands before the body, the size while reading, the signature,
the content, the journal. Each has its own refusal, and only the last but one looks at content. What is logged is a
line for each delivery, and for each kind of refused ones a line a minute: no body, and of the headers only the
delivery's id and the event's name. Nothing is refused because of its address: anybody can make a provider send us bad
signatures from the provider's own (R40); refusals are listed, and where they are too many they say 429 instead.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from time import monotonic
from typing import Final, assert_never

import orjson
from aiohttp import hdrs, web

from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import remote, vouch
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.turn import Turn
from gateway.app.drain import Accepts
from gateway.app.intake import Intake
from gateway.app.receiving import Large, Receiving
from gateway.app.refusals import Refusals
from gateway.core.audience import spread_out
from gateway.core.providers import PROVIDERS
from gateway.core.receive import Accepted, Ignored, Outcome, Rejected, Source, refuse_head
from gateway.core.rejections import Refusal, presentable
from gateway.core.request import Headers, Request
from gateway.ports.journal import JournalError

__all__ = ["Hooks"]

_RETRY_AFTER_S: Final = 5
_NO_SOURCE: Final = "no source has that name"
_NO_PATH: Final = "nothing is at that path"
_Log = Callable[..., object]

_log = logger("gateway.hooks")


def _at_once(_: str) -> float:
    return 0.0


class Hooks:
    """Takes deliveries.

    Args:
        sources: gives the sources as of now, by name.
        journal: where events are written before anybody is answered.
        metrics: gets the counters.
        intake: reads the bodies.
        large: receives large ones; a thread where it is not said.
        refusals: is told of what is refused.
        spread: over how many seconds those who hear of a repository (a key) should look at it, as of now.
    """

    def __init__(
        self,
        sources: Callable[[], Mapping[str, Source]],
        journal: Accepts,
        metrics: Metrics,
        intake: Intake | None = None,
        large: Large | None = None,
        *,
        refusals: Refusals | None = None,
        spread: Callable[[str], float] = _at_once,
    ) -> None:
        self._sources = sources
        self._journal = journal
        self._intake = intake or Intake()
        self._receiving = Receiving(large)
        self._notes: Turn[Callable[[], None]] = Turn(_note_all)
        self._refusals = refusals or Refusals()
        self._spread = spread
        deliveries = metrics.counter(
            "bellpull_deliveries",
            "Requests to the hooks listener; the source is empty where none has that name.",
            ("source", "outcome", "status"),
        )
        self._deliveries = cache(deliveries.labels)
        self._seconds = metrics.histogram("bellpull_delivery_seconds", "From a delivery's head to its answer.")

    def app(self) -> web.Application:
        """Return the listener's application."""
        app = web.Application()
        app.router.add_route("*", "/hooks/{source}", self._take)
        app.router.add_route("*", "/{anything:.*}", self._not_found)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        source = self._sources().get(request.match_info["source"])
        if source is None:
            return self._unknown(request, request.match_info["source"])
        received, begun = utc_now(), monotonic()
        headers = Headers(request.raw_headers)
        outcome, size = await self._outcome(request, headers, source, received)
        address = remote(request)
        fields: dict[str, object] = {"bytes": size, "remote": address}
        if isinstance(outcome, Rejected):
            refusal = Refusal(source=source.name, status=outcome.status, address=address, reason=outcome.reason)
            response = self._refuse(refusal, outcome.told, received)
            log: _Log = partial(self._refusals.say, refusal)
        else:
            vouch(request)
            response, more = await self._answer(outcome, source)
            fields |= more
            log = _log.info if response.status < 400 else _log.warning
        seconds = monotonic() - begun
        self._notes.add(
            partial(self._note, log, source, headers, outcome, status=response.status, fields=fields, seconds=seconds)
        )
        if not request.content.is_eof():
            response.force_close()
        return response

    async def _outcome(
        self, request: web.Request, headers: Headers, source: Source, received: datetime
    ) -> tuple[Outcome, int]:
        """Return what becomes of the delivery, and the size of its body as far as it was read."""
        if (refused := refuse_head(request.method, headers, source.provider)) is not None:
            return refused, 0
        with self._intake.body() as incoming:
            body = await incoming.read(request)
            if isinstance(body, Rejected):
                return body, incoming.size
            delivery = Request(headers=headers, body=body, received=received)
            return await self._receiving.receive(delivery, source), len(body)

    async def _answer(self, outcome: Accepted | Ignored, source: Source) -> tuple[web.Response, dict[str, object]]:
        match outcome:
            case Accepted():
                return await self._store(outcome, source)
            case Ignored(reason=reason):
                return _json(200, {"ignored": reason}), {"reason": reason}
            case _:
                assert_never(outcome)

    def _refuse(self, refusal: Refusal, told: str, now: datetime) -> web.Response:
        """List a refusal and return its answer."""
        answer = self._refusals.note(refusal, told, now)
        return _json(answer.status, {"error": answer.told}, retry_after_s=answer.retry_after_s)

    async def _store(self, accepted: Accepted, source: Source) -> tuple[web.Response, dict[str, object]]:
        try:
            stored = await self._journal.accept(
                [spread_out(message, self._spread) for message in accepted.messages],
                source=source.name,
                delivery=accepted.delivery,
                body_digest=accepted.digest,
                now=accepted.messages[0].time,
            )
        except JournalError as error:
            return _json(503, {"error": "the journal cannot write now, come again"}), {"reason": str(error)}
        events = list(stored.event_ids)
        return _json(202, {"events": events}), {"events": events, "folded": stored.folded}

    def _note(
        self,
        log: _Log,
        source: Source,
        headers: Headers,
        outcome: Outcome,
        *,
        status: int,
        fields: Mapping[str, object],
        seconds: float,
    ) -> None:
        word = "deferred" if status == 503 else type(outcome).__name__.lower()
        self._deliveries(source.name, word, status).inc()
        self._seconds.observe(seconds)
        provider = PROVIDERS[source.provider]
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

    def _unknown(self, request: web.Request, name: str) -> web.Response:
        """Answer who asks for a source that is not there: a typing error, or a stranger."""
        refusal = Refusal(source="", asked=name, status=404, address=remote(request), reason=_NO_SOURCE)
        response = self._turn_away(refusal)
        self._refusals.say(refusal, "delivery", asked=presentable(name), outcome="rejected", status=response.status)
        return response

    async def _not_found(self, request: web.Request) -> web.Response:
        """Answer who asks for anything else; it is listed, and not logged: the Internet is full of them."""
        return self._turn_away(Refusal(source="", status=404, address=remote(request), reason=_NO_PATH))

    def _turn_away(self, refusal: Refusal) -> web.Response:
        response = self._refuse(refusal, "there is nothing here", utc_now())
        self._deliveries("", "rejected", response.status).inc()
        response.force_close()
        return response


def _note_all(notes: list[Callable[[], None]]) -> None:
    for note in notes:
        note()


def _json(status: int, body: Mapping[str, object], *, retry_after_s: int | None = None) -> web.Response:
    response = web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
    if status == 405:
        response.headers[hdrs.ALLOW] = hdrs.METH_POST
    if status == 503:
        retry_after_s = _RETRY_AFTER_S
    if retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(retry_after_s)
    return response
