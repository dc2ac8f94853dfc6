"""What an apply removes that other tools left behind, worked out without applying.

A dry run cannot show it: their fields become ours by a write, and the next apply removes those that Git has not.
"""

from collections.abc import Callable, Iterable
from typing import Any

from agent.core.kubernetes.fields import Entry, Fields, entries, item_of, union
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.pointer import MISSING

__all__ = ["without_leftovers"]


def without_leftovers(item: Object, *, which: Callable[[Entry], bool]) -> Object:
    """Return the object without the fields that only entries have that `which` says.

    Args:
        item: the object as a dry run of our apply answered it, with its managed fields.
        which: whether an entry of them becomes ours.
    """
    known = entries(item)
    gone = _together(each for each in known if which(each))
    kept = _together(each for each in known if not which(each))
    left = _without(item, gone, kept)
    return left if isinstance(left, dict) else {}


def _together(known: Iterable[Entry]) -> Fields:
    fields: Fields = {}
    for each in known:
        fields = union(fields, each.get("fieldsV1") or {})
    return fields


def _without(value: Any, gone: Fields, kept: Fields) -> Any:
    """Return what stays of `value`, `MISSING` if nothing does; an item of a list goes as a whole, or not at all."""
    for step, inner in gone.items():
        key, found = _find(value, step)
        if found is MISSING:
            continue
        is_owned_itself = "." in inner or not inner
        goes = is_owned_itself and step not in kept
        value = _put(value, key, MISSING if goes else _without(found, inner, kept.get(step, {})))
    return value


def _find(value: Any, step: str) -> tuple[Any, Any]:
    """Return where in `value` a step leads, and what is there."""
    kind, _, name = step.partition(":")
    if kind == "f":
        return name, value.get(name, MISSING) if isinstance(value, dict) else MISSING
    if not isinstance(value, list):
        return None, MISSING
    found = next((index for index, each in enumerate(value) if item_of(step, each)), None)
    return found, MISSING if found is None else value[found]


def _put(value: Any, key: Any, left: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: each if name != key else left for name, each in value.items() if name != key or left is not MISSING
        }
    return [*value[:key], *([] if left is MISSING else [left]), *value[key + 1 :]]
