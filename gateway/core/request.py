"""A delivery as it came: raw headers, raw body."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Headers", "Request"]


class Headers:
    """Header fields as bytes, in their order; names are compared without case."""

    __slots__ = ("_values", "fields")

    def __init__(self, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        self.fields = fields
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            self._values.setdefault(name.lower(), []).append(value)

    def all(self, name: bytes) -> Sequence[bytes]:
        """Return every value of `name` (lower case), in their order."""
        return self._values.get(name, ())

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
