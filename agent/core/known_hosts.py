"""Which keys a server may have: `known_hosts` as OpenSSH writes it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

Names are lists with `*`, `?` and `!`, or hashed; a port that is not SSH's own is part of the name, `[HOST]:PORT`.
What is marked `@revoked` is never accepted. Certificates of hosts are not understood: a `@cert-authority` is no pin.
A line that cannot be read is an error: it may have been the one that revokes.

Nothing here says yes by itself: a server is trusted for a key in `Pins.keys`, and for no other reason.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Self

from agent.core.ssh_address import SshAddress

__all__ = ["HostKey", "KnownHostsError", "Pins", "is_offered", "pins", "why_not"]

_ALGORITHMS: Final[Mapping[str, frozenset[str]]] = {
    "ssh-ed25519": frozenset({"ssh-ed25519"}),
    "ecdsa-sha2-nistp256": frozenset({"ecdsa-sha2-nistp256"}),
    "ecdsa-sha2-nistp384": frozenset({"ecdsa-sha2-nistp384"}),
    "ecdsa-sha2-nistp521": frozenset({"ecdsa-sha2-nistp521"}),
    "ssh-rsa": frozenset({"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"}),
}
"""The types of keys that the SSH library can check, and how a server says that it has one."""
_MARKERS: Final = ("@revoked", "@cert-authority")
_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@.+-]*")


class KnownHostsError(Exception):
    """A line cannot be read; the message has its number and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A public key of a server.

    Attributes:
        kind: its type, such as `ssh-ed25519`.
        blob: as it travels (RFC 4253 section 6.6).
    """

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, blob: bytes) -> Self:
        """Read a key as it travels.

        Raises:
            ValueError: it is none.
        """
        kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
        written = kind.decode("ascii")
        if len(kind) != int.from_bytes(blob[:4], "big") or not _TYPE.fullmatch(written):
            raise ValueError("is no public key")
        return cls(kind=written, blob=blob)

    @property
    def fingerprint(self) -> str:
        """What `ssh` and `ssh-keygen -l` show of it, and providers publish: `SHA256:...`."""
        return f"SHA256:{base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip('=')}"

    @property
    def line(self) -> str:
        """Type and key as `known_hosts` has them after the name."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What `known_hosts` says of one server.

    Attributes:
        host: the server's name in the file.
        keys: those it may have; none that is revoked.
        revoked: those it must not have.
    """

    host: str
    keys: tuple[HostKey, ...]
    revoked: tuple[HostKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    marker: str
    names: str
    key: HostKey


def pins(known_hosts: bytes, address: SshAddress) -> Pins:
    """Return what `known_hosts` says of the server at `address`.

    Raises:
        KnownHostsError: a line cannot be read.
    """
    here = [line for line in _lines(known_hosts) if _is_named(address.known_as, line.names)]
    revoked = tuple(line.key for line in here if line.marker == "@revoked")
    keys = tuple(
        dict.fromkeys(
            line.key for line in here if not line.marker and line.key.kind in _ALGORITHMS and line.key not in revoked
        )
    )
    return Pins(host=address.known_as, keys=keys, revoked=revoked)


def is_offered(pins: Pins, algorithms: AbstractSet[str]) -> bool:
    """Say whether a server that can show host keys by `algorithms` has one of a type that is pinned."""
    return any(_ALGORITHMS[key.kind] & algorithms for key in pins.keys)


def why_not(pins: Pins, presented: HostKey | None) -> str:
    """Return why the server is not trusted, with fingerprints, and what to do.

    Args:
        pins: what is known of it.
        presented: the key it showed; None where that was not seen.
    """
    expected = ", ".join(f"{key.kind} {key.fingerprint}" for key in pins.keys)
    if presented is None:
        return f"{pins.host} could not show one of its pinned host keys ({expected}); nothing was sent to it"
    shown = f"{presented.kind} {presented.fingerprint}"
    if presented in pins.revoked:
        return f"{pins.host} shows a host key that known_hosts marks as @revoked: {shown}; nothing was sent to it"
    if presented.kind not in {key.kind for key in pins.keys}:
        return (
            f"{pins.host} shows a host key of a type that is not pinned: {shown}; pinned are {expected}; "
            f"compare it with the fingerprint the provider publishes, and if it is the same add to known_hosts: "
            f"{pins.host} {presented.line}"
        )
    return (
        f"wrong host key: {pins.host} shows {shown}; pinned are {expected}; nothing was sent to it. Either it is not "
        "the server, or its key was changed: ask who runs it, and only then mend known_hosts"
    )


def _lines(known_hosts: bytes) -> Iterator[_Line]:
    for number, raw in enumerate(known_hosts.split(b"\n"), start=1):
        words = raw.decode("utf-8", "replace").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            yield _line(words)
        except (ValueError, binascii.Error):
            problem = "is not [@revoked] HOST TYPE KEY; mend or remove it"
            raise KnownHostsError(f"line {number} {problem}") from None


def _line(words: list[str]) -> _Line:
    marker = words.pop(0) if words[0].startswith("@") else ""
    if marker and marker not in _MARKERS:
        raise ValueError("an unknown marker")
    names, kind, key, *_ = words
    if names.startswith("|"):
        _hash(names)
    parsed = HostKey.parse(base64.b64decode(key, validate=True))
    if parsed.kind != kind:
        raise ValueError("the type is not that of the key")
    return _Line(marker=marker, names=names, key=parsed)


def _is_named(host: str, names: str) -> bool:
    if names.startswith("|"):
        return _is_hash_of(host, names)
    named = False
    for name in names.lower().split(","):
        if name.startswith("!") and _matches(host, name[1:]):
            return False
        named = named or _matches(host, name)
    return named


def _matches(host: str, pattern: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern)
    return re.fullmatch(expression, host, re.DOTALL) is not None


def _is_hash_of(host: str, written: str) -> bool:
    salt, digest = _hash(written)
    return hmac.compare_digest(hmac.new(salt, host.encode(), hashlib.sha1).digest(), digest)


def _hash(written: str) -> tuple[bytes, bytes]:
    """Read `|1|SALT|HASH`, where the hash is HMAC-SHA1 of the name, as `ssh-keygen -H` makes it.

    Raises:
        ValueError: it is none.
    """
    _, version, salt, digest = written.split("|")
    if version != "1":
        raise ValueError("another kind of hash")
    return base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
