"""From what came over the queue to what the inbox is offered.

The order is fixed: the seal over the raw bytes, then reading, then which Syncs it concerns (P2 holds in the agent
too). What is done with a message once that is known is the table `ACKS`: an event is acknowledged as soon as the
inbox has it, because a restart reconciles everything once and nothing hangs on the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bellpull.contract.errors import ContractError
from bellpull.contract.event import RefUpdated, Resync, StateRequested, Tick
from bellpull.contract.message import Message, Unknown, decode
from bellpull.contract.report import Heartbeat, Report, Watches
from bellpull.contract.seal import PinnedKey, SealError, SealFault, SealType, unseal
from bellpull.contract.text import SyncName

__all__ = ["ACKS", "Ack", "Heard", "Hearing", "concerns", "hear", "shows_nothing"]

_FRESH: Final = timedelta(minutes=2)


class Hearing(StrEnum):
    """How a message ended."""

    RECORDED = "recorded"
    """It is an event; the inbox has what follows from it, which may be nothing."""
    SKIPPED = "skipped"
    """A type of a later version."""
    UNSEALED = "unsealed"
    """Its seal is missing, or not that of the pinned keys over these bytes."""
    KEY_UNKNOWN = "key unknown"
    """Its seal is by a key that is not pinned: a forgery, or the pinned keys are behind a rotation (R27)."""
    UNDECODABLE = "undecodable"
    """Sealed by the gateway and yet no event of this contract."""
    STOPPING = "stopping"
    """The agent is on its way out."""


class Ack(StrEnum):
    """What the queue is told."""

    ACK = "ack"
    DEAD_LETTER = "dead-letter"
    LEAVE = "leave unacknowledged"


ACKS: Final[Mapping[Hearing, Ack]] = {
    Hearing.RECORDED: Ack.ACK,
    Hearing.SKIPPED: Ack.ACK,
    Hearing.UNSEALED: Ack.DEAD_LETTER,
    Hearing.KEY_UNKNOWN: Ack.DEAD_LETTER,
    Hearing.UNDECODABLE: Ack.DEAD_LETTER,
    Hearing.STOPPING: Ack.LEAVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message, looked at.

    Attributes:
        hearing: how it ended.
        message: what it says, where it is an event.
        issued: when it was sealed, where it is.
        why: it is refused or skipped.
        kid: whose seal was refused.
    """

    hearing: Hearing
    message: Message | None = None
    issued: datetime | None = None
    why: str = ""
    kid: str | None = None


def hear(seal: str, body: bytes, *, installation: str, keys: Mapping[str, PinnedKey], now: datetime) -> Heard:
    """Check and read one message. Raises for no input."""
    try:
        sealed = unseal(seal, body, seal_type=SealType.EVENT, audience=installation, keys=keys, now=now)
    except SealError as error:
        unknown = error.fault is SealFault.KEY_UNKNOWN
        refused = Hearing.KEY_UNKNOWN if unknown else Hearing.UNSEALED
        return Heard(hearing=refused, why=str(error), kid=error.kid)
    try:
        message = decode(sealed.body)
    except ContractError as error:
        return Heard(hearing=Hearing.UNDECODABLE, why=str(error))
    if isinstance(message, Unknown):
        why = f"no such type here: {message.type}"
        return Heard(hearing=Hearing.SKIPPED, issued=sealed.issued, why=why)
    if isinstance(message.data, Report | Heartbeat):
        return Heard(hearing=Hearing.UNDECODABLE, why="is a report, not an event")
    return Heard(hearing=Hearing.RECORDED, message=message, issued=sealed.issued)


def shows_nothing(heard: Heard, *, agent: str, now: datetime) -> str:
    """Return why a message does not show that the way to `agent` is open now; empty where it does (R31).

    Gateways seal when they send: what is older was held back, or is played again, and so may be what is for others.
    """
    if heard.issued is None:
        return heard.why
    if abs(now - heard.issued) > _FRESH:
        age_s = (now - heard.issued).total_seconds()
        return f"what comes was sealed {age_s:.0f} s ago by this clock: it was held back, or a clock is wrong"
    data = heard.message.data if heard.message is not None else None
    if isinstance(data, Tick | StateRequested) and data.agent != agent:
        return f"what comes is for {data.agent}"
    return ""


def concerns(event: RefUpdated | Resync, syncs: Mapping[SyncName, Watches]) -> tuple[SyncName, ...]:
    """Return the Syncs that `event` is about."""
    return tuple(name for name, watches in syncs.items() if _is_about(event, watches))


def _is_about(event: RefUpdated | Resync, watches: Watches) -> bool:
    same_repository = event.repository is None or event.repository.key == watches.repository.key
    return same_repository and (isinstance(event, Resync) or event.ref == watches.ref)
