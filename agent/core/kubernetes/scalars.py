"""What a plain text in a manifest means, as kubectl and the API server read it.

They read YAML 1.1 in their own way: `yes`, `on` and `y` are true; `0777` is octal; `1_000` is a thousand; dates and
base 60 are texts; a number too large for 64 bits is a float. Each rule was tried with kubectl 1.37.
"""

import re
from base64 import b64decode
from typing import Final

__all__ = ["NotAValueError", "Scalar", "key", "plain", "tagged"]

Scalar = str | int | float | bool | None


class NotAValueError(ValueError):
    """It has no value in JSON; the message says why."""


_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NO_NUMBER: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER: Final = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)",
)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS: Final = 400
"""More are no number that 64 bits hold, and Python takes the square of their count to read them."""
_WHOLE: Final = 1e21
"""Below this JSON shows a whole float without a point or an exponent."""


def plain(text: str) -> Scalar:
    """Return the value of a text without quotes.

    Raises:
        NotAValueError: it is infinite or not a number.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NO_NUMBER.fullmatch(text):
        raise NotAValueError("is infinite or not a number, which JSON has no word for (quote it, if it is a text)")
    number = text.replace("_", "")
    if len(number) > _MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(number):
        whole = _integer(number)
        return whole if -(1 << 63) <= whole < 1 << 64 else _float(text, number)
    return _float(text, number) if _FLOAT.fullmatch(number) else text


def tagged(tag: str, text: str) -> Scalar:
    """Return the value of a text with a tag such as `!!str`.

    Raises:
        NotAValueError: the tag is not one of JSON's values, or the text is not of it.
    """
    name = tag.removeprefix("tag:yaml.org,2002:")
    if name in ("str", "timestamp", "!"):
        return text
    if name == "binary":
        return _decoded(text)
    value = plain(text)
    kinds: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
    kind = kinds.get(name)
    if kind is None:
        raise NotAValueError("has a tag that is not known here (quote a text that begins with '!')")
    if not isinstance(value, kind) or (name != "bool" and isinstance(value, bool)):
        raise NotAValueError(f"is not what its tag !!{name} says")
    return value


def key(value: Scalar) -> str:
    """Return a mapping's key as JSON has it.

    Raises:
        NotAValueError: null is none.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            raise NotAValueError("is a key without a name")
        case _:
            return str(value)


def _integer(number: str) -> int:
    sign = -1 if number[0] == "-" else 1
    digits = number.lstrip("+-")
    if digits[:2].lower() in ("0x", "0b", "0o"):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if digits[0] == "0" else 10)


def _float(text: str, number: str) -> Scalar:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        return text
    return int(value) if value.is_integer() and abs(value) < _WHOLE else value


def _decoded(text: str) -> str:
    try:
        return b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except ValueError:
        raise NotAValueError("is not the base64 that its tag !!binary says") from None
