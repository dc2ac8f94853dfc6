"""Events that do not come, seen by what looks find (R31)."""

from datetime import UTC, datetime, timedelta

from agent.core.finds import GRACE, Finds
from bellpull.contract.text import CommitId, SyncName

SITE, SHOP = SyncName("default/site"), SyncName("default/shop")
NEW = CommitId("b" * 40)
BEFORE = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
FOUND = BEFORE + timedelta(minutes=5)
SECOND = timedelta(seconds=1)


def found(finds: Finds) -> Finds:
    finds.found(SITE, NEW, since=BEFORE, now=FOUND)
    return finds


def test_a_find_that_no_event_told_of() -> None:
    """It is said after the grace, since when it was found, and of no other Sync."""
    finds = found(Finds())
    assert finds.untold(SITE, FOUND + GRACE - SECOND) is None
    assert finds.untold(SITE, FOUND + GRACE) == FOUND
    assert finds.untold(SHOP, FOUND + GRACE) is None
    assert finds.next_untold(FOUND) == FOUND + GRACE
    assert finds.next_untold(FOUND + GRACE) is None


def test_an_event_that_comes_late_ends_it() -> None:
    finds = found(Finds())
    finds.told(SITE, NEW, FOUND + GRACE + SECOND)
    assert finds.untold(SITE, FOUND + 2 * GRACE) is None


def test_an_event_since_the_look_before_excuses_it() -> None:
    """Its run may wait for its spread, or for its turn, and an interval came first."""
    finds = Finds()
    finds.told(SITE, CommitId("c" * 40), BEFORE + SECOND)
    assert found(finds).untold(SITE, FOUND + GRACE) is None


def test_an_event_of_that_commit_excuses_it_whenever_it_came() -> None:
    """Git's server showed the commit minutes after the event."""
    finds = Finds()
    finds.told(SITE, NEW, BEFORE - SECOND)
    assert found(finds).untold(SITE, FOUND + GRACE) is None


def test_an_older_event_excuses_nothing() -> None:
    finds = Finds()
    finds.told(SITE, CommitId("c" * 40), BEFORE - SECOND)
    assert found(finds).untold(SITE, FOUND + GRACE) == FOUND


def test_a_hole_that_was_spoken_of_excuses_it() -> None:
    finds = Finds()
    finds.excuse(SITE, BEFORE + SECOND)
    assert found(finds).untold(SITE, FOUND + GRACE) is None


def test_it_lasts_since_the_first_find() -> None:
    """More that is found says nothing new."""
    finds = found(Finds())
    finds.found(SITE, CommitId("c" * 40), since=FOUND, now=FOUND + GRACE)
    assert finds.untold(SITE, FOUND + GRACE) == FOUND
