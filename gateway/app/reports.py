"""What agents say: reports and heartbeats, by POST.

An answer of 202 means that it is kept (`gateway.app.words`); the same again is answered the same (R18). Who says too
much at once is answered 429, and tries again (`gateway.app.turns`).
"""

import asyncio
from math import ceil
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE
from bellpull.contract.stream import SEAL_HEADER
from gateway.app.admission import AgentsParts, admitted, refusal, unauthorized
from gateway.app.turns import TooOften
from gateway.app.words import NotTaken, Words

__all__ = ["Reports"]

_BODY_S: Final = 10.0


class Reports:
    """Takes them."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts
        self._words = Words(parts)

    async def take(self, request: web.Request) -> web.Response:
        """Answer one message."""
        record = admitted(request, self._parts.enrolments())
        if record is None:
            return unauthorized(request, self._parts, "report refused")
        try:
            with self._words.turn(record):
                body = await _read(request)
                receipt = await self._words.take(record, request.headers.get(SEAL_HEADER, ""), body)
        except TooOften as error:
            said = {"agent": record.agent, "status": 429, "reason": str(error)}
            self._parts.refused.note("report refused", record.agent, 429, **said)
            return refusal(429, str(error), again_s=ceil(error.again_s))
        except NotTaken as error:
            said = {"agent": record.agent, "status": error.status, "reason": error.reason}
            self._parts.refused.note("report refused", record.agent, error.status, **said)
            return refusal(error.status, error.reason)
        return web.Response(body=receipt.encode(), status=202, content_type="application/json")


async def _read(request: web.Request) -> bytes:
    """Return the body, of the one media type, not encoded, within size and time."""
    if request.content_type != MEDIA_TYPE:
        raise NotTaken(415, f"the content type is not {MEDIA_TYPE}")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise NotTaken(415, "the body is encoded")
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise NotTaken(413, f"the body is larger than {MAX_BYTES} bytes") from None
    except HttpProcessingError:
        raise NotTaken(400, "the body is not framed as HTTP wants it") from None
    except TimeoutError:
        raise NotTaken(408, f"the body did not come within {_BODY_S:g} s") from None
