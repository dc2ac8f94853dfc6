"""The proof that a body was checked before anybody looked into it (P2)."""

from dataclasses import dataclass, field
from typing import Final

from bellpull.contract.event import Assurance

__all__ = ["Unverified", "VerifiedBody", "verified"]

_MADE_HERE: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBody:
    """The raw bytes of a delivery, and what vouches for them. Made by `verified` only; all that decoders take."""

    body: bytes
    assurance: Assurance
    proof: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse to be made by hand."""
        if self.proof is not _MADE_HERE:
            raise TypeError("VerifiedBody is made by a provider's verify() only")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """A delivery that nothing vouches for; `reason` is for the log, never for the sender."""

    reason: str


def verified(body: bytes, assurance: Assurance) -> VerifiedBody:
    """Vouch for `body`: for `verify` functions, after the comparison succeeded, and for nobody else."""
    return VerifiedBody(body=body, assurance=assurance, proof=_MADE_HERE)
