"""What agents say: reports and heartbeats, by POST.

Reports are unsealed with the keys of the agent whose token came with them, and count only within its record (R26).
An answer of 202 means that it is kept; the same again is answered the same (R18). Who says too much at once is
answered 429, and tries again (`gateway.app.turns`).
"""

import asyncio
from datetime import timedelta
from math import ceil
from typing import Final

from aiohttp import hdrs, web

from bellpull.contract.errors import ContractError
from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE, Unknown, decode
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.seal import Sealed, SealError, SealType, unseal
from bellpull.contract.stream import SEAL_HEADER, Receipt
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from gateway.app.admission import AgentsParts, admitted, refusal, unauthorized
from gateway.app.enrolment import Enrolment
from gateway.app.turns import TooOften, Turns
from gateway.core.scope import InScope, OutOfScope, scope
from gateway.ports.state import Heard, Put, StateError

__all__ = ["Reports"]

_log = logger(__name__)
_BODY_S: Final = 10.0
_FRESH: Final = timedelta(minutes=2)
"""Agents seal when they send: what is older, or of the future, is a replay or a wrong clock (R26)."""
_EPOCH_AHEAD: Final = timedelta(minutes=10)
"""A stolen credential can lock its agent out by an epoch for no longer than this."""


class _Refused(Exception):  # noqa: N818 - it says what happened
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Reports:
    """Takes them."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts
        self._turns = Turns()

    async def take(self, request: web.Request) -> web.Response:
        """Answer one message."""
        record = admitted(request, self._parts.enrolments())
        if record is None:
            return unauthorized(request, self._parts, "report refused")
        try:
            with self._turns.of(record.agent):
                receipt = await self._keep(request, record)
        except TooOften as error:
            said = {"agent": record.agent, "status": 429, "reason": str(error)}
            self._parts.refused.note("report refused", record.agent, 429, **said)
            return refusal(429, str(error), again_s=ceil(error.again_s))
        except _Refused as error:
            said = {"agent": record.agent, "status": error.status, "reason": error.reason}
            self._parts.refused.note("report refused", record.agent, error.status, **said)
            return refusal(error.status, error.reason)
        return web.Response(body=receipt.encode(), status=202, content_type="application/json")

    async def _keep(self, request: web.Request, record: Enrolment) -> Receipt:
        body = await _read(request)
        sealed = self._unseal(request, body, record)
        in_scope = await self._turns.run(record.agent, len(body), lambda: _understood(sealed, record))
        if in_scope is None:
            return Receipt()
        if isinstance(in_scope, OutOfScope):
            raise _Refused(403, in_scope.reason)
        if in_scope.data.epoch > (utc_now() + _EPOCH_AHEAD).timestamp():
            raise _Refused(400, "its epoch is in the future: an epoch is the time of a start, in seconds")
        if in_scope.left_out:
            _log.warning("Syncs left out of a heartbeat", agent=record.agent, syncs=in_scope.left_out)
        return _receipt(await self._put(in_scope.data, sealed))

    def _unseal(self, request: web.Request, body: bytes, record: Enrolment) -> Sealed:
        now = utc_now()
        try:
            sealed = unseal(
                request.headers.get(SEAL_HEADER, ""),
                body,
                seal_type=SealType.REPORT,
                audience=self._parts.installation,
                keys=record.pinned,
                now=now,
            )
        except SealError as error:
            raise _Refused(403, error.fault.value) from None
        if abs(now - sealed.issued) > _FRESH:
            age_s = (now - sealed.issued).total_seconds()
            raise _Refused(425, f"it was sealed {age_s:.0f} s ago by this gateway's clock: are both clocks right?")
        return sealed

    async def _put(self, data: Report | Heartbeat, sealed: Sealed) -> Heard:
        now = utc_now()
        try:
            if isinstance(data, Report):
                return await self._parts.state.put_report(data, issued=sealed.issued, received=now)
            return await self._parts.state.put_heartbeat(data, issued=sealed.issued, received=now)
        except StateError as error:
            _log.error("state cannot be written", error=str(error))
            raise _Refused(503, "it cannot be kept now") from error


def _receipt(heard: Heard) -> Receipt:
    if heard.put is Put.BEHIND:
        raise _Refused(409, f"epoch {heard.epoch} of this agent was heard already, and this is of an earlier one")
    return Receipt(want_full=heard.want_full)


async def _read(request: web.Request) -> bytes:
    """Return the body, of the one media type, not encoded, within size and time."""
    if request.content_type != MEDIA_TYPE:
        raise _Refused(415, f"the content type is not {MEDIA_TYPE}")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise _Refused(415, "the body is encoded")
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _Refused(413, f"the body is larger than {MAX_BYTES} bytes") from None
    except TimeoutError:
        raise _Refused(408, f"the body did not come within {_BODY_S:g} s") from None


def _understood(sealed: Sealed, record: Enrolment) -> InScope | OutOfScope | None:
    """Return what was said within the record; none for what only a later version understands."""
    try:
        message = decode(sealed.body)
    except ContractError as error:
        raise _Refused(400, str(error)) from None
    if isinstance(message, Unknown):
        return None
    return scope(
        message.data,
        agent=record.agent,
        environments=record.environments,
        repositories=record.repositories,
    )
