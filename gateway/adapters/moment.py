"""Times as they are stored: microseconds since 1970, as a whole number."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

__all__ = ["NO_MOMENT", "is_moment", "microseconds", "moment"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_MOMENT: Final = 253_402_300_800_000_000
"""From here on, and below 0, it is no time at all: this is the year 10000."""


def microseconds(time: datetime) -> int:
    """Return `time`, aware, as it is stored."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def moment(stored: int) -> datetime:
    """Return the time that was stored."""
    return _EPOCH + timedelta(microseconds=stored)


def is_moment(stored: Any) -> bool:
    """Whether what is stored is a time at all; damage may make it none."""
    return isinstance(stored, int) and 0 <= stored < NO_MOMENT
