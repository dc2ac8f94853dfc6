"""Durations in files, as Go and Flux write them: `90s`, `1m30s`, `1.5h`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

__all__ = ["Duration", "duration", "shown", "within", "written"]

_UNITS: Final[Mapping[str, timedelta]] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_PART: Final = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)"
_DURATION: Final = f"(?:{_PART})+"


def duration(value: object) -> timedelta:
    """Read a duration.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value):
        raise ValueError("is no duration: write it with units, such as 30s, 5m or 1h30m")
    return sum((float(number) * _UNITS[unit] for number, unit in re.findall(_PART, value)), timedelta())


def within(least: str, most: str) -> AfterValidator:
    """Refuse what is shorter or longer."""
    lowest, highest = duration(least), duration(most)

    def check(value: timedelta) -> timedelta:
        if not lowest <= value <= highest:
            raise ValueError(f"is not between {least} and {most}")
        return value

    return AfterValidator(check)


def shown(default: str) -> Any:
    """Say in the reference how the default is written."""
    return Field(json_schema_extra={"default": default})


def written(value: timedelta) -> str:
    """Return a duration as it may be written."""
    return f"{value / timedelta(seconds=1):g}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"}),
]
"""A field that is written as a duration."""
