"""Ed25519 keys as JSON Web Keys; the only module that knows joserfc and what it stands on.

A key's id is its RFC 7638 thumbprint, always: a file that claims another is refused. Key sets hold public keys
only, each with the time it may be used (`nbf`, `exp`, in seconds since 1970). Errors never repeat a key.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc.errors import JoseError as _JoserfcError
from joserfc.jwk import OKPKey

from bellpull.contract.seal import PinnedKey

__all__ = [
    "Ed25519Signer",
    "Ed25519Verifier",
    "JoseError",
    "dump_private",
    "generate",
    "load_pinned",
    "load_private",
    "load_public",
    "public_jwk",
    "public_set",
]

_LAST_SECOND: Final = 2**35


class JoseError(ValueError):
    """A key, or a set of keys, that cannot be used; the message says why and repeats nothing of it."""


@final
class Ed25519Verifier:
    """A public key."""

    __slots__ = ("_key", "_kid", "_x")

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self._x = _base64url(key.public_bytes_raw())
        self._kid = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": self._x}).thumbprint()

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint."""
        return self._kid

    @property
    def x(self) -> str:
        """The public key as its JWK writes it."""
        return self._x

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`; raises for no input."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@final
class Ed25519Signer:
    """A private key."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = Ed25519Verifier(key.public_key())

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint."""
        return self._public.kid

    @property
    def public(self) -> Ed25519Verifier:
        """The public half."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """Return the signature of 64 bytes."""
        return self._key.sign(data)


def generate() -> Ed25519Signer:
    """Return a new key."""
    return Ed25519Signer(Ed25519PrivateKey.generate())


def dump_private(signer: Ed25519Signer) -> bytes:
    """Return the key as a private JWK, for a file only its owner may read."""
    half = _base64url(signer._key.private_bytes_raw())  # noqa: SLF001  # the two are one module
    return _pretty({"kty": "OKP", "crv": "Ed25519", "kid": signer.kid, "x": signer.public.x, "d": half})


def load_private(data: bytes) -> Ed25519Signer:
    """Read a private JWK.

    Raises:
        JoseError: it is none.
    """
    members = _object(data)
    if "d" not in members:
        raise JoseError("is not a private key (it has no member d)")
    key = _import(members).private_key
    if not isinstance(key, Ed25519PrivateKey):
        raise JoseError("is not an Ed25519 key")
    signer = Ed25519Signer(key)
    if signer.public.x != members["x"].rstrip("="):
        raise JoseError("is damaged: its public half is not that of its private half")
    _check_kid(members, signer.public)
    return signer


def public_jwk(
    verifier: Ed25519Verifier, *, nbf: datetime | None = None, exp: datetime | None = None
) -> dict[str, str | int]:
    """Return the key as a public JWK, to be used from `nbf` until before `exp`."""
    jwk: dict[str, str | int] = {"kty": "OKP", "crv": "Ed25519", "kid": verifier.kid, "x": verifier.x}
    if nbf is not None:
        jwk["nbf"] = int(nbf.timestamp())
    if exp is not None:
        jwk["exp"] = int(exp.timestamp())
    return jwk


def public_set(jwks: Iterable[Mapping[str, str | int]]) -> bytes:
    """Return a JWK Set of public keys, for a file."""
    return _pretty({"keys": [dict(jwk) for jwk in jwks]})


def load_public(jwk: Mapping[str, Any]) -> tuple[str, PinnedKey]:
    """Read a public JWK: its kid, and the key with the time it may be used.

    Raises:
        JoseError: it is none, or is a private one.
    """
    if "d" in jwk:
        raise JoseError("is a private key; only its public half belongs here")
    key = _import(jwk).public_key
    if not isinstance(key, Ed25519PublicKey):
        raise JoseError("is not an Ed25519 key")
    verifier = Ed25519Verifier(key)
    _check_kid(jwk, verifier)
    return verifier.kid, PinnedKey(verifier=verifier, not_before=_time(jwk, "nbf"), not_after=_time(jwk, "exp"))


def load_pinned(data: bytes) -> dict[str, PinnedKey]:
    """Read a JWK Set of public keys: the keys by kid, at least one.

    Raises:
        JoseError: it is none; the message says which key is wrong.
    """
    keys = _object(data).get("keys")
    if not isinstance(keys, list) or not keys:
        raise JoseError("is not a set of keys: an object with a list of at least one under keys")
    pinned: dict[str, PinnedKey] = {}
    for index, jwk in enumerate(keys):
        if not isinstance(jwk, dict):
            raise JoseError(f"keys[{index}]: is not an object")
        try:
            kid, key = load_public(jwk)
        except JoseError as error:
            raise JoseError(f"keys[{index}]: {error}") from None
        if kid in pinned:
            raise JoseError(f"keys[{index}]: is there twice")
        pinned[kid] = key
    return pinned


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise JoseError("is not JSON") from None
    if not isinstance(value, dict):
        raise JoseError("is not a JSON object")
    return value


def _import(members: Mapping[str, Any]) -> OKPKey:
    if members.get("kty") != "OKP" or members.get("crv") != "Ed25519":
        raise JoseError("is not an Ed25519 key (kty OKP, crv Ed25519)")
    own = {name: members[name] for name in ("kty", "crv", "x", "d") if name in members}
    if not all(isinstance(value, str) and value.isascii() for value in own.values()):
        raise JoseError("has a member that is no base64url text")
    try:
        key = OKPKey.import_key(own)
        key.raw_value  # noqa: B018  # the bytes are looked at only now
    except (_JoserfcError, ValueError, KeyError, TypeError):
        raise JoseError("is damaged: its members are no Ed25519 key") from None
    return key


def _check_kid(members: Mapping[str, Any], verifier: Ed25519Verifier) -> None:
    if members.get("kid", verifier.kid) != verifier.kid:
        raise JoseError("has a kid that is not its RFC 7638 thumbprint")


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _time(jwk: Mapping[str, Any], member: str) -> datetime | None:
    value = jwk.get(member)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < _LAST_SECOND:
        raise JoseError(f"{member} is not a time in whole seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


def _pretty(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
