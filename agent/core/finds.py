"""What looks found and no event told of: somebody holds events back, or the webhook is gone (R31).

A look finds news when the tip is neither what runs nor what the look before it saw. The event of that push had from
then until now, and another `GRACE`. A find is excused where an event of that Sync came since the look before, or
told of that very commit earlier, or where a hole was spoken of, as all look by themselves then. The next event of
the Sync ends it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.text import CommitId, SyncName

__all__ = ["GRACE", "Finds"]

GRACE: Final = timedelta(seconds=60)
"""How much later than a look an event may come."""


@dataclass(slots=True)
class Finds:
    """The Syncs of an agent, and what looks found of each."""

    _excused: dict[SyncName, datetime] = field(default_factory=dict)
    _told: dict[SyncName, CommitId | None] = field(default_factory=dict)
    _open: dict[SyncName, datetime] = field(default_factory=dict)

    def told(self, key: SyncName, commit: CommitId | None, now: datetime) -> None:
        """An event of the Sync's ref came."""
        self._told[key] = commit
        self.excuse(key, now)

    def excuse(self, key: SyncName, now: datetime) -> None:
        """Nothing follows from what was not told until now."""
        self._excused[key] = now
        self._open.pop(key, None)

    def found(self, key: SyncName, commit: CommitId, *, since: datetime, now: datetime) -> None:
        """A look found `commit`, which a look that began at `since` did not see."""
        excused = self._excused.get(key)
        if (excused is None or excused < since) and self._told.get(key) != commit:
            self._open.setdefault(key, now)

    def untold(self, key: SyncName, now: datetime) -> datetime | None:
        """Return since when events do not come although the rest of the way is well; None where nothing says so."""
        at = self._open.get(key)
        return at if at is not None and now - at >= GRACE else None

    def next_untold(self, now: datetime) -> datetime | None:
        """Return when `untold` will say more than `now`, if nothing happens before."""
        return min((at + GRACE for at in self._open.values() if at + GRACE > now), default=None)
