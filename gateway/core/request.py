"""A delivery as it came: raw headers, raw body."""

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Headers", "Request"]


@dataclass(frozen=True, slots=True)
class Headers:
    """Header fields as bytes, in their order; names are compared without case."""

    fields: tuple[tuple[bytes, bytes], ...]

    def all(self, name: bytes) -> tuple[bytes, ...]:
        """Return every value of `name` (lower case)."""
        return tuple(value for key, value in self.fields if key.lower() == name)

    def one(self, name: bytes) -> bytes | None:
        """Return the value of `name` (lower case) if it is there exactly once."""
        values = self.all(name)
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST to a source; `received` is when its head was there."""

    headers: Headers
    body: bytes = field(repr=False)
    received: datetime
