"""Pauses: monotone, bounded, spread."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.backoff import backoff, jitter, lag_delay

chances = st.floats(0, 1)
times = st.integers(1, 10_000)
pauses = st.timedeltas(timedelta(seconds=1), timedelta(hours=24))


@given(times, pauses, chances)
def test_backoff_grows_and_is_bounded(failures: int, most: timedelta, chance: float) -> None:
    """With the same chance a later pause is never shorter; none is longer than `most`, none is nothing."""
    pause = backoff(failures, most, chance)
    assert timedelta(milliseconds=99) < pause <= most
    assert pause <= backoff(failures + 1, most, chance)


@given(pauses)
def test_backoff_begins_with_a_second_and_ends_with_the_most(most: timedelta) -> None:
    assert backoff(1, most, 1.0) == timedelta(seconds=1)
    assert backoff(10_000, most, 1.0) == most


@given(times)
def test_lag_is_tried_from_50_ms_to_5_s(tries: int) -> None:
    """R33: 50 ms, doubling, at most 5 s."""
    assert timedelta(milliseconds=50) <= lag_delay(tries) <= lag_delay(tries + 1) <= timedelta(seconds=5)


@pytest.mark.parametrize(("tries", "ms"), [(1, 50), (2, 100), (3, 200), (7, 3200), (8, 5000), (99, 5000)])
def test_lag_delay(tries: int, ms: int) -> None:
    assert lag_delay(tries) == timedelta(milliseconds=ms)


@given(pauses, chances)
def test_jitter_is_a_fifth_either_way(interval: timedelta, chance: float) -> None:
    """R49."""
    slack = timedelta(microseconds=2)
    assert interval * 0.8 - slack <= jitter(interval, chance) <= interval * 1.2 + slack
