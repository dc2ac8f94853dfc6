"""When a repeated delivery is folded into the earlier one, and when it is queued again (R5).

Twins are the same source, delivery id and body. People press "Redeliver" on purpose, and a provider without
delivery ids says A -> B twice with the same bytes when somebody went back in between: so a twin is folded only
while the earlier one is still on its way and nothing newer of that ref was accepted since. Otherwise the event is
queued again, under the same id. The same delivery id with another body is no twin.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

__all__ = ["ON_ITS_WAY", "Earlier", "Twins", "folds"]

ON_ITS_WAY: Final = timedelta(seconds=10)
"""How long an event counts as still waiting to be heard on the stream."""
_TO_COME: Final = 2**62
"""Beyond the number of any row that is written."""


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


class Twins:
    """What events that are written together are checked against, in their order: earlier rows, and each other.

    Args:
        earlier: of the rows already written, by what makes twins.
    """

    def __init__(self, earlier: Mapping[Any, Earlier]) -> None:
        self._earlier: dict[Hashable, Earlier] = dict(earlier)
        self._newest: dict[Hashable, int] = {}
        self._numbers = count(_TO_COME)

    def folds(self, twin: Hashable, ref: Hashable, now: datetime) -> bool:
        """Whether the next event folds; if not, it is one of those that later ones are checked against."""
        earlier = self._earlier.get(twin)
        if earlier is not None:
            newest = self._newest.get(ref, earlier.newest_of_ref)
            if folds(replace(earlier, newest_of_ref=newest), now):
                return True
        number = self._newest[ref] = next(self._numbers)
        self._earlier[twin] = Earlier(seq=number, accepted=now, newest_of_ref=number)
        return False
