"""Which fields a manager owns, as `managedFields` has it: a tree whose keys say what a step is.

`f:NAME` is a field, `k:{...}` an item of a list by its key, `v:VALUE` an item of a set, `i:N` one by its place, and
`.` says that the step itself is owned. See KEP-555.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from agent.core.kubernetes.object import Object

__all__ = ["Entry", "Fields", "apply_entry", "entries", "item_of", "items", "paths", "union"]

Fields: TypeAlias = Mapping[str, Any]
"""`fieldsV1`."""
Entry: TypeAlias = Mapping[str, Any]
"""One manager's entry in `managedFields`."""
_ITSELF: Final = "."


def union(one: Fields, other: Fields) -> Fields:
    """Return what is in either."""
    both: dict[str, Any] = dict(one)
    for step, inner in other.items():
        mine = both.get(step)
        both[step] = union(mine, inner) if isinstance(mine, Mapping) and isinstance(inner, Mapping) else inner
    return both


def paths(fields: Fields) -> Iterator[str]:
    """Yield the fields for people, such as `.spec.template.spec.containers[name="web"].image`."""
    yield from _paths(fields, "")


def items(fields: Fields) -> Iterator[str]:
    """Yield the items of lists that are owned themselves, for people."""
    yield from _items(fields, "")


def entries(item: Object) -> list[Entry]:
    """Return the entries of an object's `managedFields`."""
    found = (item.get("metadata") or {}).get("managedFields") or []
    return [each for each in found if isinstance(each, dict)]


def apply_entry(item: Object, manager: str) -> Entry | None:
    """Return the entry of what `manager` applied to the object itself."""
    for each in entries(item):
        if (each.get("manager"), each.get("operation"), each.get("subresource") or "") == (manager, "Apply", ""):
            return each
    return None


def item_of(step: str, item: Any) -> bool:
    """Whether a step, `k:{...}` or `v:VALUE`, means this item of a list."""
    kind, _, text = step.partition(":")
    if kind not in ("k", "v"):
        return False
    value = json.loads(text)
    if kind == "v":
        return bool(value == item)
    return isinstance(item, dict) and all(name in item and item[name] == each for name, each in value.items())


def _paths(fields: Fields, so_far: str) -> Iterator[str]:
    inner = {step: each for step, each in fields.items() if step != _ITSELF}
    if not inner:
        yield so_far or _ITSELF
    for step, each in inner.items():
        yield from _paths(each if isinstance(each, Mapping) else {}, so_far + _step(step))


def _items(fields: Fields, so_far: str) -> Iterator[str]:
    for step, each in fields.items():
        place = so_far + _step(step)
        if isinstance(each, Mapping) and step != _ITSELF:
            if step.startswith("k:") and _ITSELF in each:
                yield place
            yield from _items(each, place)


def _step(step: str) -> str:
    kind, _, rest = step.partition(":")
    match kind:
        case "f":
            return f".{rest}" if "." not in rest and "/" not in rest else f"[{rest}]"
        case "k":
            return f"[{_key(rest)}]"
        case "v":
            return f"[={rest}]"
        case _:
            return f"[{rest}]"


def _key(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return ",".join(f"{name}={json.dumps(each)}" for name, each in value.items()) if isinstance(value, dict) else text
