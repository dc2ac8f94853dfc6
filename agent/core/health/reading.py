"""Reads fields of objects the way Kubernetes' own libraries read unstructured JSON, so that rules agree with theirs.

A number is an integer of 64 bits or it is none; a null is a value of the wrong type, and not an absent one, where a
typed reader asks for it; a list of conditions is read whole or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "Condition",
    "UnreadableError",
    "conditions",
    "entries",
    "flag",
    "integer",
    "is_integer",
    "kind_of",
    "strict",
    "text",
]

_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1


class UnreadableError(Exception):
    """An object is not of the form that its rules need; says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One entry of `status.conditions`; what is absent is empty."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


def kind_of(item: dict[str, Any]) -> str:
    """Return `GROUP/KIND`, or `KIND` for the core group; empty where it cannot be told."""
    version, kind = item.get("apiVersion"), item.get("kind")
    version = version if isinstance(version, str) else ""
    if not isinstance(kind, str) or version.count("/") > 1:
        return ""
    group = version.split("/")[0] if "/" in version else ""
    return f"{group}/{kind}" if group else kind


def integer(item: dict[str, Any], *path: str, default: int) -> int:
    """Return an integer, or `default` where there is none of 64 bits."""
    value = _find(item, path)
    return value if is_integer(value) else default


def text(item: dict[str, Any], *path: str, default: str = "") -> str:
    """Return a string, or `default` where there is none."""
    value = _find(item, path)
    return value if isinstance(value, str) else default


def flag(item: dict[str, Any], *path: str) -> bool:
    """Whether there is a `true`."""
    return _find(item, path) is True


def is_integer(value: object) -> bool:
    """Whether JSON's `value` is one that Kubernetes reads as an integer."""
    return type(value) is int and _SMALLEST <= value <= _LARGEST


def strict(item: dict[str, Any], *path: str, of: type[str] | type[int]) -> Any:
    """Return the string or integer at `path`; None where no such field is.

    Raises:
        UnreadableError: something of another type is there, or on the way.
    """
    value: Any = item
    for depth, name in enumerate(path):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise UnreadableError(f"{'.'.join(path[:depth])} is no mapping")
        if name not in value:
            return None
        value = value[name]
    if not (isinstance(value, str) if of is str else is_integer(value)):
        raise UnreadableError(f"{'.'.join(path)} is no {'string' if of is str else 'integer'}")
    return value


def conditions(item: dict[str, Any]) -> Sequence[Condition]:
    """Return `status.conditions` in their order.

    Raises:
        UnreadableError: they are not of the form that conditions have.
    """
    status = item.get("status")
    if status is None:
        return ()
    if not isinstance(status, dict):
        raise UnreadableError("status is no mapping")
    found = status.get("conditions")
    if found is None:
        return ()
    if not isinstance(found, list):
        raise UnreadableError("status.conditions is no list")
    return [_condition(index, each) for index, each in enumerate(found)]


def entries(item: dict[str, Any], *path: str) -> Sequence[dict[str, Any]]:
    """Return the mappings of a list; what is none, and an absent list, is left out."""
    value = _find(item, path)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _condition(index: int, value: object) -> Condition:
    if value is None:
        return Condition()
    place = f"status.conditions[{index}]"
    if not isinstance(value, dict):
        raise UnreadableError(f"{place} is no mapping")
    found = {name: value.get(name) for name in ("type", "status", "reason", "message")}
    for name, each in found.items():
        if each is not None and not isinstance(each, str):
            raise UnreadableError(f"{place}.{name} is no string")
    return Condition(**{name: each or "" for name, each in found.items()})


def _find(item: dict[str, Any], path: Sequence[str]) -> Any:
    value: Any = item
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
