"""When a repeated delivery is folded into the earlier one, and when it is queued again (R5).

Twins are the same source, delivery id and body. People press "Redeliver" on purpose, and a provider without
delivery ids says A -> B twice with the same bytes when somebody went back in between: so a twin is folded only
while the earlier one is still on its way and nothing newer of that ref was accepted since. Otherwise the event is
queued again, under the same id. The same delivery id with another body is no twin.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

__all__ = ["ON_ITS_WAY", "Earlier", "folds"]

ON_ITS_WAY: Final = timedelta(seconds=10)
"""How long an event counts as still waiting to be heard on the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The last row of the same source, delivery id, body and event.

    Attributes:
        seq: its number.
        accepted: when.
        newest_of_ref: the last number that any event of the same ref has.
    """

    seq: int
    accepted: datetime
    newest_of_ref: int


def folds(earlier: Earlier | None, now: datetime) -> bool:
    """Whether an event that comes at `now` is covered by `earlier`; a clock that went back folds nothing."""
    if earlier is None or earlier.newest_of_ref > earlier.seq:
        return False
    return timedelta(0) <= now - earlier.accepted < ON_ITS_WAY
