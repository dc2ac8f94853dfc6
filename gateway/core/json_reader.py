"""Reading a provider's JSON: what is there, of the type it must have, or an error that says where."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import orjson

from bellpull.contract.errors import ContractError

__all__ = ["PayloadError", "explained", "get", "get_or_none", "parse_object"]

_T = TypeVar("_T")
_WORDS: Final[Mapping[type, str]] = {str: "a string", bool: "true or false", dict: "an object", list: "an array"}


class PayloadError(ValueError):
    """An authentic body that is not what its provider documents; the message has the path, never the value."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object in UTF-8.

    Raises:
        PayloadError: it is none.
    """
    try:
        value = orjson.loads(body)
    except ValueError:
        raise PayloadError("the body is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise PayloadError("the body is not a JSON object")
    return value


def get(value: object, path: str, kind: type[_T]) -> _T:
    """Return what is at `path` (`repository.clone_url`) in `value`.

    Raises:
        PayloadError: it is missing, or no `kind`.
    """
    found = get_or_none(value, path, kind)
    if found is None:
        raise PayloadError(f"{path} is missing")
    return found


def get_or_none(value: object, path: str, kind: type[_T]) -> _T | None:
    """Return what is at `path` in `value`, None if it is missing or null.

    Raises:
        PayloadError: it is there, and no `kind`.
    """
    found: Any = value
    for part in path.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif found is not None:
            raise PayloadError(f"{path} is not in an object")
    if found is None or isinstance(found, kind):
        return found
    raise PayloadError(f"{path} is not {_WORDS[kind]}")


def explained(error: ContractError, path: str) -> PayloadError:
    """Return a value's own error as one of the payload, with the path there."""
    return PayloadError(f"{path} {error.problem}")
