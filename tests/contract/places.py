"""Every place in a JSON value, to put something else there."""

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["MISSING", "places", "put"]

MISSING: Final = object()
"""Put at a place, it takes away what was there."""


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each (object or array, key or index) in `value`, at every depth."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def put(place: tuple[Any, Any], new: object) -> None:
    """Change what is at a place."""
    holder, key = place
    if new is MISSING:
        del holder[key]
    else:
        holder[key] = new
