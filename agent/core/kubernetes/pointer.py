"""JSON pointers (RFC 6901): which part of an object is meant."""

from typing import Any, Final

from agent.core.kubernetes.object import Object

__all__ = ["MISSING", "Pointer", "at", "is_in_list", "put", "read_pointer", "shown"]

Pointer = tuple[str, ...]
"""The steps from the object's root: names of fields, and places in lists."""
MISSING: Final = object()
"""What is at a pointer that leads nowhere."""
_NAMES_IT: Final = frozenset(
    {
        ("apiVersion",),
        ("kind",),
        ("metadata",),
        ("metadata", "labels"),
        ("metadata", "name"),
        ("metadata", "namespace"),
    }
)


def read_pointer(text: str) -> Pointer:
    """Read `/spec/replicas` or `/metadata/annotations/example.org~1owner`.

    Raises:
        ValueError: that is no pointer, or one to what an object is known by.
    """
    if not text.startswith("/") or text == "/":
        raise ValueError("is no JSON pointer to a field, such as /spec/replicas")
    steps = tuple(text[1:].split("/"))
    if any(not step or "~" in step.replace("~0", "").replace("~1", "") for step in steps):
        raise ValueError("is no JSON pointer: a step is empty, or has a ~ that is not ~0 (for ~) or ~1 (for /)")
    pointer = tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
    if pointer in _NAMES_IT:
        raise ValueError("is what the object is known by")
    return pointer


def shown(pointer: Pointer) -> str:
    """Return it for people: `spec.replicas`, `metadata.annotations[example.org/owner]`."""
    return "".join(f".{step}" if step.isalnum() else f"[{step}]" for step in pointer).removeprefix(".")


def at(value: Any, pointer: Pointer) -> Any:
    """Return what is there, or `MISSING`."""
    for step in pointer:
        if isinstance(value, dict):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def is_in_list(item: Object, pointer: Pointer) -> bool:
    """Whether there is a list on the way."""
    return any(isinstance(at(item, pointer[:length]), list) for length in range(len(pointer)))


def put(item: Object, pointer: Pointer, value: Any) -> Object:
    """Return a copy with `value` there, `MISSING` to take it out; what is empty without it goes as well.

    Mappings on the way are made where they are missing; a place in a list has to be there.
    """
    changed = _put(item, pointer, value)
    return changed if isinstance(changed, dict) else {}


def _put(inside: Any, pointer: Pointer, value: Any) -> Any:
    if not pointer:
        return value
    step, *rest = pointer
    if isinstance(inside, list):
        index = int(step)
        inner = _put(inside[index], tuple(rest), value)
        return [*inside[:index], *([] if inner is MISSING else [inner]), *inside[index + 1 :]] or MISSING
    inner = _put(inside.get(step, {}), tuple(rest), value)
    kept = {name: each for name, each in inside.items() if name != step}
    if inner is MISSING:
        return kept or MISSING
    return {name: (inner if name == step else inside.get(name)) for name in {**inside, step: None}}
