"""What a provider is to the gateway: a module with these names, and a line in `PROVIDERS`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bellpull.contract.repository import Ref, Repository
from bellpull.contract.text import CommitId
from bellpull.runtime.secret import Secret
from gateway.core.request import Headers, Request
from gateway.core.verified import Unverified, VerifiedBody

__all__ = ["Ignored", "Provider", "RefChange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Authentic, and nothing that anybody waits for; the reason is told to the sender."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefChange:
    """One ref that moved, in our words."""

    repository: Repository
    ref: Ref
    before: CommitId | None
    after: CommitId | None
    forced: bool
    actor: str | None
    pushed: datetime | None


class Provider(Protocol):
    """A module under `gateway.core.providers`. Everything in it is pure."""

    @property
    def CONTENT_TYPES(self) -> frozenset[str]:  # noqa: N802 - a module's constant
        """Media types of its deliveries, lower case, without parameters."""
        ...

    def secret_problem(self, secret: Secret) -> str | None:
        """Return why nothing can be signed with `secret`, if so, for whoever configures it; never the secret."""
        ...

    def verify(self, request: Request, secrets: Sequence[Secret]) -> VerifiedBody | Unverified:
        """Check the raw bytes; raises for no input."""
        ...

    def delivery_id(self, headers: Headers) -> str | None:
        """Return the provider's id of this delivery, if it sent a usable one; raises for no input."""
        ...

    def event_name(self, headers: Headers) -> str:
        """Return the provider's word for what happened, for the log; raises for no input."""
        ...

    def decode(self, verified: VerifiedBody, headers: Headers) -> tuple[RefChange, ...] | Ignored:
        """Read a verified body.

        Raises:
            PayloadError: it is not what the provider documents.
        """
        ...
