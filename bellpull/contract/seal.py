"""The seal: a detached JWS over the exact bytes of a message, travelling beside them (R27).

RFC 7515 compact form with RFC 7797 unencoded payload, `Ed25519` of RFC 9864 and nothing else: nothing is
negotiated. It is made when a message is sent, not when it is stored, and checked over the raw bytes before any
of them is decoded; `Sealed`, which only `unseal` makes, is the proof of that. Keys are passed in as signers and
verifiers, so that this module knows no cryptography.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import orjson

from bellpull.contract.message import MAX_BYTES

__all__ = [
    "PinnedKey",
    "SealError",
    "SealFault",
    "SealType",
    "Sealed",
    "Signer",
    "Verifier",
    "seal",
    "unseal",
]


class SealType(StrEnum):
    """What a seal is for; one is never taken for the other."""

    EVENT = "bellpull-event+jws"
    REPORT = "bellpull-report+jws"


class SealFault(StrEnum):
    """Why a seal was not accepted."""

    TOO_LARGE = "the message is too large"
    MALFORMED = "the seal is missing or malformed"
    HEADER = "the seal's header is not exactly the one of this contract"
    AUDIENCE = "the seal is for another installation"
    KEY_UNKNOWN = "no pinned key has the seal's kid"
    KEY_EXPIRED = "the seal's key is not yet, or no longer, valid"
    SIGNATURE = "the signature does not fit the bytes"


class SealError(Exception):
    """A message that is not what its sender sealed; `fault` says why."""

    def __init__(self, fault: SealFault, kid: str | None = None) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.kid = kid


class Signer(Protocol):
    """A private Ed25519 key."""

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature of 64 bytes."""
        ...


class Verifier(Protocol):
    """A public Ed25519 key."""

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`; raises for no input."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """A public key that is trusted, and from when to when."""

    verifier: Verifier
    not_before: datetime | None = None
    not_after: datetime | None = None

    def valid(self, now: datetime) -> bool:
        """Whether `now` is within its time."""
        return (self.not_before is None or self.not_before <= now) and (
            self.not_after is None or now < self.not_after
        )


_MADE_BY_UNSEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Bytes whose seal was checked; made by `unseal` only."""

    body: bytes
    kid: str
    issued: datetime
    """When, by the sender's clock, in milliseconds."""
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        """Refuse to be made by hand, or from another one with other bytes."""
        if proof is not _MADE_BY_UNSEAL:
            raise TypeError("Sealed is made by unseal() only")


_SEAL: Final = re.compile(r"(?P<header>[A-Za-z0-9_-]{1,1024})\.\.(?P<signature>[A-Za-z0-9_-]{86})")
_HEADER_KEYS: Final = ("alg", "typ", "kid", "iat", "aud", "b64", "crit")


def seal(body: bytes, *, seal_type: SealType, audience: str, now: datetime, signer: Signer) -> str:
    """Return the seal over `body` for the installation `audience`."""
    header = {
        "alg": "Ed25519",
        "typ": seal_type,
        "kid": signer.kid,
        "iat": int(now.timestamp() * 1000) / 1000,
        "aud": audience,
        "b64": False,
        "crit": ["b64"],
    }
    protected = _encode(orjson.dumps(header))
    return f"{protected}..{_encode(signer.sign(protected.encode() + b'.' + body))}"


def unseal(
    seal_text: str,
    body: bytes,
    *,
    seal_type: SealType,
    audience: str,
    keys: Mapping[str, PinnedKey],
    now: datetime,
) -> Sealed:
    """Check the seal over `body` against the pinned `keys`, by kid.

    Raises:
        SealError: anything at all is wrong with it.
    """
    if len(body) > MAX_BYTES:
        raise SealError(SealFault.TOO_LARGE)
    match = _SEAL.fullmatch(seal_text)
    if match is None:
        raise SealError(SealFault.MALFORMED)
    header = _read_header(match["header"], seal_type)
    if header["aud"] != audience:
        raise SealError(SealFault.AUDIENCE)
    kid = header["kid"]
    key = keys.get(kid)
    if key is None:
        raise SealError(SealFault.KEY_UNKNOWN, kid)
    if not key.valid(now):
        raise SealError(SealFault.KEY_EXPIRED, kid)
    if not key.verifier.verify(_read_base64(match["signature"]), match["header"].encode() + b"." + body):
        raise SealError(SealFault.SIGNATURE, kid)
    issued = datetime.fromtimestamp(header["iat"], UTC)
    return Sealed(body=body, kid=kid, issued=issued, proof=_MADE_BY_UNSEAL)


def _read_header(encoded: str, seal_type: SealType) -> dict[str, Any]:
    written = _read_base64(encoded)
    try:
        header = orjson.loads(written)
    except ValueError:
        raise SealError(SealFault.MALFORMED) from None
    exact = (
        isinstance(header, dict)
        and tuple(header) == _HEADER_KEYS
        and header["alg"] == "Ed25519"
        and header["typ"] == seal_type
        and header["b64"] is False
        and header["crit"] == ["b64"]
        and isinstance(header["kid"], str)
        and isinstance(header["aud"], str)
        and type(header["iat"]) in (int, float)
        and 0 <= header["iat"] < 2**35
        and written == orjson.dumps(header)
    )
    if not exact:
        raise SealError(SealFault.HEADER)
    return header  # type: ignore[no-any-return]  # `exact` has looked at all of it


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _read_base64(text: str) -> bytes:
    """Decode, and refuse what would have been encoded otherwise: the last digit can hold bits that say nothing."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise SealError(SealFault.MALFORMED) from None
    if _encode(data) != text:
        raise SealError(SealFault.MALFORMED)
    return data
