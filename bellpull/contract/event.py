"""What a gateway says: a ref moved, a change was proposed, look again, are you there.

An event is a hint. Nothing in it is an instruction: an agent fetches from the URL of its own configuration and
resolves the ref itself (P4), and only these kinds ever travel towards an agent (R28).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bellpull.contract.codec import LATER
from bellpull.contract.errors import ContractError
from bellpull.contract.repository import Ref, Repository
from bellpull.contract.text import CommitId, Name, Note

__all__ = [
    "LONGEST_SPREAD_S",
    "Assurance",
    "Canary",
    "ChangeUpdated",
    "Delivery",
    "Event",
    "EventHops",
    "RefUpdated",
    "Resync",
    "StateRequested",
    "Tick",
]


LONGEST_SPREAD_S: Final = 10.0
"""A reader takes whatever is beyond it for this: no gateway can put an agent off for longer (R29)."""


class Assurance(StrEnum):
    """What vouched for a delivery (R46)."""

    SIGNATURE = "signature"
    """A signature over the exact bytes."""
    SECRET = "secret"  # noqa: S105 - the word, not a value
    """A secret that was sent along."""
    NONE = "none"
    """The network it came from: mTLS or an address list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Who delivered it: the provider, the source of the gateway's configuration, the provider's delivery id."""

    provider: Name
    source: Name
    id: str
    assurance: Assurance


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHops:
    """When it was where: pushed (the provider's clock, where it says so), received, accepted (the gateway's)."""

    received: datetime
    accepted: datetime
    pushed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefUpdated:
    """A branch or tag was created, moved or deleted.

    `before` is null when it was created, `after` when it was deleted; `actor` is a login, never an address.
    """

    repository: Repository
    ref: Ref
    before: CommitId | None
    after: CommitId | None
    created: bool
    deleted: bool
    forced: bool
    actor: str | None
    delivery: Delivery
    hops: EventHops
    spread: float = field(default=0.0, metadata=LATER)
    """Seconds: many agents hear this, so each looks after a random part of it (R29)."""

    def __post_init__(self) -> None:
        """Refuse an update that neither leads from nor to a commit, or contradicts itself."""
        if self.deleted != (self.after is None):
            raise ContractError("after", "is null exactly when the ref was deleted")
        if self.before is None and self.after is None:
            raise ContractError("before", "and after cannot both be null")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeUpdated:
    """A proposed change (pull or merge request) was opened, updated, merged or closed."""

    repository: Repository
    number: int
    action: str
    head: CommitId
    head_ref: Ref
    base: CommitId | None
    base_ref: Ref
    actor: str | None
    delivery: Delivery
    hops: EventHops


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A test delivery on its way through every part; nobody acts on it."""

    delivery: Delivery
    hops: EventHops


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """Look at everything, or at one repository, again: something may have been missed (R1)."""

    reason: Note
    repository: Repository | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The way is open (R31); `sent` is not counted, and 0."""

    agent: Name
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRequested:
    """Send your full state: a gateway does not know it (R22, R23)."""

    agent: Name


Event = RefUpdated | ChangeUpdated | Canary | Resync | Tick | StateRequested
"""Everything that may travel towards an agent."""
