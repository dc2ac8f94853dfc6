"""Whether pushes may have been missed since the gateway was last known to take them (R1).

A sign of life goes to disk now and then, at a start and at the clean stop. It is written where pushes are, so it
stops when they cannot be. Providers do not send again what met a closed door, so after a hole in the signs, and
after pushes that were turned away, agents are told to look at everything.
"""

from datetime import datetime, timedelta
from typing import Final

__all__ = ["LONGEST", "missed"]

LONGEST: Final = timedelta(seconds=60)
"""A hole that is not longer is none: the signs are a quarter of it apart."""


def missed(
    last: datetime | None, now: datetime, *, turned_away: bool, removed: bool = False, turned_on: bool = False
) -> str | None:
    """Return why agents should look at everything, if they should.

    Args:
        last: the last sign of life, none if unknown.
        now: when it is.
        turned_away: whether pushes were, since then.
        removed: whether events had to go, or could not be read any more, before the broker had them.
        turned_on: whether a broker is used from now on, which has nothing of what was accepted before.
    """
    if last is None:
        return "nothing says when the gateway took pushes last"
    if now < last:
        return "the gateway's clock was set back"
    if now - last > LONGEST:
        return f"the gateway took no pushes for {timedelta(seconds=round((now - last).total_seconds()))}"
    if turned_away:
        return "pushes were turned away because they could not be written"
    if removed:
        return "events could not be kept, or read, until the broker had them"
    return "events go to a broker from now on, and it has none of those before" if turned_on else None
