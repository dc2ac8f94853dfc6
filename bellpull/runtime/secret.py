"""A secret is not a string: it has no text, no hash, no pickle, and is compared in constant time.

Pure, so that what decides can hold one. `reveal` is the only way to the bytes; search for it to see who uses them.
"""

import hmac
from typing import Final, NoReturn, final

__all__ = ["Secret"]

_SHOWN: Final = "Secret(***)"


@final
class Secret:
    """Bytes that must never be shown."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if not value:
            raise ValueError("a secret must not be empty")
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes, for the one call that needs them."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash would say something of the bytes

    def __repr__(self) -> str:
        return _SHOWN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")
