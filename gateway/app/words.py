"""What agents said, taken at their word within their records only: the same for every way by which it comes.

A report or heartbeat is unsealed with the keys of the agent whose credential it came with, and counts only within its
record (R26). The same again is taken again (R18).
"""

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.errors import ContractError
from bellpull.contract.message import Unknown, decode
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.seal import Sealed, SealError, SealType, unseal
from bellpull.contract.stream import Receipt
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from gateway.app.admission import AgentsParts
from gateway.app.enrolment import Enrolment
from gateway.app.turns import Turns
from gateway.core.scope import InScope, OutOfScope, scope
from gateway.ports.state import Heard, Put, StateError

__all__ = ["NOT_NOW", "NotTaken", "Words", "refuse_old"]

_log = logger(__name__)
NOT_NOW: Final = 503
_FRESH: Final = timedelta(minutes=2)
"""Everybody seals when it sends: what is older, or of the future, is a replay or a wrong clock (R26)."""
_EPOCH_AHEAD: Final = timedelta(minutes=10)
"""A stolen credential can lock its agent out by an epoch for no longer than this."""


class NotTaken(Exception):  # noqa: N818 - it says what happened
    """A message that does not count.

    Args:
        status: as HTTP has it; with `NOT_NOW` the same may be taken later.
        reason: for the log, and for the agent.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refuse_old(sealed: Sealed, now: datetime) -> None:
    """Refuse what was not sealed just now.

    Raises:
        NotTaken: it is a replay, or a clock is wrong.
    """
    if abs(now - sealed.issued) > _FRESH:
        age_s = (now - sealed.issued).total_seconds()
        raise NotTaken(425, f"it was sealed {age_s:.0f} s ago by this gateway's clock: are both clocks right?")


class Words:
    """Takes them; one for all that comes by one way."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts
        self._turns = Turns()

    def turn(self, record: Enrolment) -> AbstractContextManager[None]:
        """Work on one message of an agent in this context.

        Raises:
            TooOften: another one is being worked on.
        """
        return self._turns.of(record.agent)

    async def take(self, record: Enrolment, seal: str, body: bytes) -> Receipt:
        """Keep a message of the agent of `record`, whose credential it came with; within its turn.

        Raises:
            NotTaken: it does not count, or cannot be kept now.
            TooOften: its last one took so much that it has to rest.
        """
        sealed = self._unseal(seal, body, record)
        in_scope = await self._turns.run(record.agent, len(body), lambda: _understood(sealed, record))
        if in_scope is None:
            return Receipt()
        if isinstance(in_scope, OutOfScope):
            raise NotTaken(403, in_scope.reason)
        if in_scope.data.epoch > (utc_now() + _EPOCH_AHEAD).timestamp():
            raise NotTaken(400, "its epoch is in the future: an epoch is the time of a start, in seconds")
        if in_scope.left_out:
            _log.warning("Syncs left out of a heartbeat", agent=record.agent, syncs=in_scope.left_out)
        heard = await self._put(in_scope.data, sealed)
        if heard.put is Put.STORED and isinstance(in_scope.data, Report):
            self._parts.notices.outcome(in_scope.data, sealed.body)
        return _receipt(heard)

    def _unseal(self, seal: str, body: bytes, record: Enrolment) -> Sealed:
        now = utc_now()
        try:
            sealed = unseal(
                seal,
                body,
                seal_type=SealType.REPORT,
                audience=self._parts.installation,
                keys=record.pinned,
                now=now,
            )
        except SealError as error:
            raise NotTaken(403, error.fault.value) from None
        refuse_old(sealed, now)
        return sealed

    async def _put(self, data: Report | Heartbeat, sealed: Sealed) -> Heard:
        now = utc_now()
        try:
            if isinstance(data, Report):
                return await self._parts.state.put_report(data, issued=sealed.issued, received=now)
            return await self._parts.state.put_heartbeat(data, issued=sealed.issued, received=now)
        except StateError as error:
            _log.error("state cannot be written", error=str(error))
            raise NotTaken(NOT_NOW, "it cannot be kept now") from error


def _receipt(heard: Heard) -> Receipt:
    if heard.put is Put.BEHIND:
        raise NotTaken(409, f"epoch {heard.epoch} of this agent was heard already, and this is of an earlier one")
    return Receipt(want_full=heard.want_full)


def _understood(sealed: Sealed, record: Enrolment) -> InScope | OutOfScope | None:
    """Return what was said within the record; none for what only a later version understands."""
    try:
        message = decode(sealed.body)
    except ContractError as error:
        raise NotTaken(400, str(error)) from None
    if isinstance(message, Unknown):
        return None
    return scope(
        message.data,
        agent=record.agent,
        environments=record.environments,
        repositories=record.repositories,
    )
