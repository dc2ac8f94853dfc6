"""From what came over the queue to what the inbox is offered.

The order is fixed: the seal over the raw bytes, then reading, then which Syncs it concerns (P2 holds in the agent
too). What is done with a message once that is known is the table `ACKS`: an event is acknowledged as soon as the
inbox has it, because a restart reconciles everything once and nothing hangs on the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bellpull.contract.errors import ContractError
from bellpull.contract.event import RefUpdated, Resync
from bellpull.contract.message import Message, Unknown, decode
from bellpull.contract.report import Heartbeat, Report, Watches
from bellpull.contract.seal import PinnedKey, SealError, SealType, unseal
from bellpull.contract.text import SyncName

__all__ = ["ACKS", "Ack", "Heard", "Hearing", "concerns", "hear"]


class Hearing(StrEnum):
    """How a message ended."""

    RECORDED = "recorded"
    """It is an event; the inbox has what follows from it, which may be nothing."""
    SKIPPED = "skipped"
    """A type of a later version."""
    UNSEALED = "unsealed"
    """Its seal is missing, or not that of the pinned keys over these bytes."""
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
    Hearing.UNDECODABLE: Ack.DEAD_LETTER,
    Hearing.STOPPING: Ack.LEAVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message, looked at. `message` is there when it is an event; `why` when it is refused."""

    hearing: Hearing
    message: Message | None = None
    why: str = ""
    kid: str | None = None


def hear(seal: str, body: bytes, *, installation: str, keys: Mapping[str, PinnedKey], now: datetime) -> Heard:
    """Check and read one message. Raises for no input."""
    try:
        sealed = unseal(seal, body, seal_type=SealType.EVENT, audience=installation, keys=keys, now=now)
    except SealError as error:
        return Heard(hearing=Hearing.UNSEALED, why=str(error), kid=error.kid)
    try:
        message = decode(sealed.body)
    except ContractError as error:
        return Heard(hearing=Hearing.UNDECODABLE, why=str(error))
    if isinstance(message, Unknown):
        return Heard(hearing=Hearing.SKIPPED, why=f"no such type here: {message.type}")
    if isinstance(message.data, Report | Heartbeat):
        return Heard(hearing=Hearing.UNDECODABLE, why="is a report, not an event")
    return Heard(hearing=Hearing.RECORDED, message=message)


def concerns(event: RefUpdated | Resync, syncs: Mapping[SyncName, Watches]) -> tuple[SyncName, ...]:
    """Return the Syncs that `event` is about."""
    return tuple(name for name, watches in syncs.items() if _is_about(event, watches))


def _is_about(event: RefUpdated | Resync, watches: Watches) -> bool:
    same_repository = event.repository is None or event.repository.key == watches.repository.key
    return same_repository and (isinstance(event, Resync) or event.ref == watches.ref)
