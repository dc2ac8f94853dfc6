"""Between frozen dataclasses and JSON: one reader, driven by the type hints, and its JSON Schema.

Reading is strict in types (a `bool` is no `int`, a time has an offset) and tolerant in extent (unknown fields
are ignored), and raises `ContractError` with the path of the first thing that is wrong, and nothing else.
`write` is the other way: a field is on the wire under its own name; one that came later (`LATER`) only where it says
something else than its default, so that what could be said before is written as it always was.
"""

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from bellpull.contract.errors import ContractError
from bellpull.contract.text import KINDS, text

__all__ = ["LATER", "plain", "read", "schema", "write"]

_T = TypeVar("_T")
_INT_LIMIT: Final = 2**53
"""JSON numbers beyond this differ between readers (RFC 8259, section 6)."""
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339 as one writes it; `datetime.fromisoformat` would take weeks, and what differs between versions."""
LATER: Final[Mapping[str, bool]] = types.MappingProxyType({"later": True})
"""The metadata of a field that its dataclass did not have at first."""


def read(cls: type[_T], value: object, path: str = "") -> _T:
    """Read `value`, parsed JSON, as the dataclass `cls`.

    Raises:
        ContractError: with the path of what is missing or of the wrong type or form.
    """
    if not isinstance(value, dict):
        raise ContractError(path, "is not an object")
    found: dict[str, Any] = {}
    for name, hint, required in _fields(cast("Any", cls)):
        at = f"{path}.{name}" if path else name
        if name in value:
            found[name] = _read(hint, value[name], at)
        elif required:
            raise ContractError(at, "is missing")
    try:
        return cls(**found)
    except ContractError as error:
        raise ContractError(f"{path}.{error.path}".strip("."), error.problem) from None


def write(value: object) -> bytes:
    """Return dataclasses, and what they are made of, as one line of JSON in UTF-8."""
    return orjson.dumps(plain(value), option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def schema(cls: type) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what `read(cls, ...)` admits, bar rules between fields."""
    return _schema(cls)


@cache
def _fields(cls: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(cls)
    return tuple(
        (field.name, hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(cls)
    )


def plain(value: object) -> object:
    """Return dataclasses, or a list of them, with the later fields left out that say nothing."""
    cls: Any = type(value)
    if cls is tuple or cls is list:
        return [plain(item) for item in cast("Any", value)]
    shape = _shape(cls)
    if shape is None:
        return value
    said = dict(zip(shape.names, shape.get(value), strict=True))
    for name, default in shape.later:
        if said[name] == default:
            del said[name]
    for name in shape.deep & said.keys():
        said[name] = plain(said[name])
    return said


@dataclass(frozen=True, slots=True)
class _Shape:
    """The fields of a dataclass: all, those that may go unsaid, those with such fields inside."""

    names: tuple[str, ...]
    get: Callable[[object], tuple[object, ...]]
    later: tuple[tuple[str, object], ...]
    deep: frozenset[str]


@cache
def _shape(cls: Any) -> _Shape | None:
    """Return what `plain` has to look at; null where all can stay."""
    if not is_dataclass(cls):
        return None
    hints = get_type_hints(cls)
    names = tuple(each.name for each in fields(cls))
    late = tuple((each.name, each.default) for each in fields(cls) if each.metadata == LATER)
    deep = frozenset(name for name in names if _has_later(hints[name]))
    return _Shape(names, attrgetter(*names), late, deep) if late or deep else None


def _has_later(hint: Any) -> bool:
    return _shape(hint) is not None or any(_has_later(inner) for inner in get_args(hint))


def _read(hint: Any, value: object, path: str) -> Any:
    if hint in KINDS:
        return text(hint, value, path)
    if (optional := _optional(hint)) is not None:
        return None if value is None else _read(optional, value, path)
    origin = get_origin(hint)
    if origin is tuple:
        return _read_array(get_args(hint)[0], value, path)
    if origin is Mapping:
        return _read_map(get_args(hint), value, path)
    if is_dataclass(hint):
        return read(cast("type[Any]", hint), value, path)
    if issubclass(hint, StrEnum):
        return _read_word(hint, value, path)
    return _SCALARS[hint](value, path)


def _read_array(hint: Any, value: object, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ContractError(path, "is not an array")
    return tuple(_read(hint, item, f"{path}[{index}]") for index, item in enumerate(value))


def _read_map(hints: tuple[Any, ...], value: object, path: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ContractError(path, "is not an object")
    key_hint, hint = hints
    return {_read(key_hint, key, path): _read(hint, item, f"{path}.{key}") for key, item in value.items()}


def _read_word(hint: type[StrEnum], value: object, path: str) -> StrEnum:
    try:
        return hint(cast("str", value))
    except ValueError:
        raise ContractError(path, f"is none of {', '.join(hint)}") from None


def _read_str(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise ContractError(path, "is not a string")
    return value


def _read_bool(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise ContractError(path, "is not true or false")
    return value


def _read_int(value: object, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _INT_LIMIT:
        raise ContractError(path, "is not a whole number from 0 to 2^53")
    return value


def _read_float(value: object, path: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _INT_LIMIT:
        raise ContractError(path, "is not a number from 0 to 2^53")
    return float(value)


def _read_time(value: object, path: str) -> datetime:
    written = _read_str(value, path)
    if not _TIME.fullmatch(written):
        raise ContractError(path, "is not a time of RFC 3339 with its offset from UTC")
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ContractError(path, "is no time there is") from None


_SCALARS: Final[Mapping[Any, Callable[[object, str], Any]]] = {
    str: _read_str,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    datetime: _read_time,
}
_SCALAR_SCHEMAS: Final[Mapping[Any, Mapping[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0, "exclusiveMaximum": _INT_LIMIT},
    float: {"type": "number", "minimum": 0, "exclusiveMaximum": _INT_LIMIT},
    datetime: {"type": "string", "format": "date-time"},
}


def _optional(hint: Any) -> Any | None:
    """Return `X` for `X | None`; the contract has no other union."""
    if get_origin(hint) not in (Union, types.UnionType):
        return None
    (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
    return inner


def _schema(hint: Any) -> dict[str, Any]:
    if hint in KINDS:
        return {
            "type": "string",
            "pattern": f"^(?:{KINDS[hint].pattern})$",
            "maxLength": KINDS[hint].max_bytes,
        }
    if (optional := _optional(hint)) is not None:
        return {"anyOf": [_schema(optional), {"type": "null"}]}
    origin = get_origin(hint)
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0])}
    if origin is Mapping:
        key, item = get_args(hint)
        return {"type": "object", "propertyNames": _schema(key), "additionalProperties": _schema(item)}
    if is_dataclass(hint):
        return _schema_of_object(cast("type", hint))
    if issubclass(hint, StrEnum):
        return {"enum": [str(word) for word in hint]}
    return dict(_SCALAR_SCHEMAS[hint])


def _schema_of_object(cls: type) -> dict[str, Any]:
    return {
        "type": "object",
        "description": (cls.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ").strip(),
        "properties": {name: _schema(hint) for name, hint, _ in _fields(cls)},
        "required": [name for name, _, required in _fields(cls) if required],
    }
