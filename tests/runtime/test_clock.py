"""The time is aware."""

from datetime import timedelta

from bellpull.runtime.clock import utc_now


def test_the_time_is_in_utc_and_goes_on() -> None:
    first = utc_now()
    assert first.utcoffset() == timedelta(0)
    assert utc_now() >= first
