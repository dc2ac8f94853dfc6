"""Every way in which one value somewhere in a payload can be wrong."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

__all__ = ["places", "spoiled"]

_MISSING: Final = object()
_ODD: Final[tuple[Any, ...]] = (None, "", "x", 0, -1, 2**63, 1.5, True, [], {}, [None], {"a": None}, _MISSING)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def spoiled(value: Any, path: tuple[Any, ...]) -> Iterator[Any]:
    """Yield `value` with what is at `path` of another type, empty, huge or missing; a copy that is used again."""
    copy = deepcopy(value)
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    for odd in _ODD:
        if odd is _MISSING:
            del inner[path[-1]]
        else:
            inner[path[-1]] = odd
        yield copy
