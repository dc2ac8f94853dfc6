"""Whether events come, and what follows where they do not (R31, R15)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.hearing import BACKSTOP, Hearing, added, polling
from agent.core.inbox import Pace
from bellpull.contract.report import NotHearing
from bellpull.contract.text import Note

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SITE, SHOP = "git.example/acme/site", "git.example/acme/shop"
SILENCE = timedelta(seconds=60)
NEW = Hearing(begun=NOW, silence=SILENCE)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_an_agent_that_just_began_is_taken_to_hear() -> None:
    assert NEW.missing(SITE, at(59.9)) is None
    assert NEW.missing(SITE, at(60)) == NotHearing(since=NOW, reason=Note("nothing came from the gateway for 60 s"))


def test_ticks_keep_it_hearing_and_their_end_does_not() -> None:
    hearing = NEW
    for seconds in range(0, 300, 15):
        hearing = hearing.frame(at(seconds))
        assert hearing.missing(SITE, at(seconds + 59.9)) is None
    assert hearing.silent_from() == at(285 + 60)
    missing = hearing.lost("connection refused").missing(SITE, at(345))
    assert missing is not None
    assert missing.since == at(285)
    assert missing.reason == "nothing came from the gateway for 60 s: connection refused"
    assert hearing.frame(at(400)).missing(SITE, at(400)) is None


def test_how_an_earlier_connection_ended_is_no_reason() -> None:
    missing = NEW.lost("refused").frame(at(1)).missing(SITE, at(100))
    assert missing is not None
    assert "refused" not in missing.reason


def test_a_repository_that_is_not_in_the_record_is_not_heard() -> None:
    hearing = NEW.frame(at(1)).record(("git.example/*/shop",), at(2)).frame(at(3))
    assert hearing.missing(SHOP, at(4)) is None
    missing = hearing.missing(SITE, at(4))
    assert missing is not None
    assert (missing.since, SITE in missing.reason) == (at(2), True)
    assert hearing.record((SITE,), at(5)).missing(SITE, at(6)) is None


def test_the_same_record_again_changes_nothing() -> None:
    hearing = NEW.record((SHOP,), at(2))
    assert hearing.record((SHOP,), at(50)) == hearing


def test_while_the_record_is_not_known_nothing_is_concluded() -> None:
    assert NEW.frame(at(1)).missing(SITE, at(2)) is None


def test_silence_is_the_reason_before_the_record_is() -> None:
    missing = NEW.record((SHOP,), at(2)).missing(SITE, at(60))
    assert missing is not None
    assert "nothing came" in missing.reason


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((SHOP,), (SHOP, SITE), True),
        ((SHOP,), ("git.example/**",), True),
        ((SITE,), (SITE, SHOP), False),
        (("**",), (SITE,), False),
        ((SITE,), (SHOP,), False),
        ((), (SITE,), True),
        (None, (SITE,), False),
    ],
)
def test_a_repository_is_added_where_only_the_new_record_fits(
    before: tuple[str, ...] | None, now: tuple[str, ...], expected: bool
) -> None:
    """R15; at the first record an agent is told of nothing is new, as a start looks at everything."""
    assert added(before, now, SITE) is expected


@given(
    st.timedeltas(timedelta(seconds=1), timedelta(hours=24)), st.timedeltas(timedelta(seconds=1), timedelta(hours=1))
)
def test_who_does_not_hear_looks_each_minute_or_more_often(interval: timedelta, retry: timedelta) -> None:
    pace = polling(Pace(interval=interval, retry=retry))
    assert pace.interval == min(interval, BACKSTOP)
    assert pace.retry <= min(retry, pace.interval)


@given(st.lists(st.integers(0, 200), max_size=30), st.integers(0, 6000))
def test_missing_means_silence_for_as_long_as_that(frames: list[int], seconds: int) -> None:
    """Whatever frames came, it hears exactly within `SILENCE` of the last."""
    hearing = NEW
    for seen in sorted(frames):
        hearing = hearing.frame(at(seen))
    last = at(max(frames, default=0))
    now = last + timedelta(milliseconds=seconds * 20)
    assert (hearing.missing(SITE, now) is None) is (now - last < SILENCE)
