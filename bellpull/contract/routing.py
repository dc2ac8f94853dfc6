"""Topic keys of AMQP: four words, `host.path.kind.ref`, within 255 bytes (R25).

Case is folded. Each word escapes what would break it (`.`, `*`, `#`, `%`, `!`, controls, what is not ASCII) as
`%xx`, and one beyond its own budget ends in `!` and a hash, so that bindings with a wildcard for a word keep
working. Two different (folded) names never share a key, bar a collision of SHA-256 cut to 80 bits.
"""

from hashlib import sha256
from typing import Final

from bellpull.contract.repository import Ref, Repository

__all__ = ["BUDGETS", "routing_key"]

BUDGETS: Final = (60, 90, 8, 90)
"""Bytes for each word; with three dots they stay below AMQP's 255."""
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_/:@+~=,")
_HASH_DIGITS: Final = 20


def routing_key(repository: Repository, ref: Ref) -> str:
    """Return the key under which an event about `ref` of `repository` is published."""
    words = (repository.host, repository.path, ref.kind.value, ref.name)
    return ".".join(_word(word.casefold(), budget) for word, budget in zip(words, BUDGETS, strict=True))


def _word(value: str, budget: int) -> str:
    raw = value.encode()
    escaped = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in raw)
    if len(escaped) <= budget:
        return escaped
    return f"{escaped[: budget - _HASH_DIGITS - 1]}!{sha256(raw).hexdigest()[:_HASH_DIGITS]}"
