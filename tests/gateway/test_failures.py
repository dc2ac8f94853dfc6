"""How often an address may fail before it is told to come later; what is authentic is never asked about (R40)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.failures import BURST, EVERY_S, Failures


def test_so_many_at_once_and_then_one_in_a_while() -> None:
    failures = Failures()
    assert [failures.fail("192.0.2.1", 0.0) for _ in range(BURST)] == [None] * BURST
    assert failures.fail("192.0.2.1", 0.0) == EVERY_S
    assert failures.fail("192.0.2.1", 0.6) == pytest.approx(EVERY_S - 0.6)
    assert failures.fail("192.0.2.1", 1.01 * EVERY_S) is None
    assert failures.fail("192.0.2.1", 1.01 * EVERY_S) is not None


def test_who_comes_when_told_has_room() -> None:
    failures = Failures(burst=1)
    assert failures.fail("192.0.2.1", 10.0) is None
    wait_s = failures.fail("192.0.2.1", 10.5)
    assert wait_s is not None
    assert failures.fail("192.0.2.1", 10.51 + wait_s) is None


def test_an_address_is_not_told_for_another_but_for_its_network() -> None:
    failures = Failures(burst=1)
    assert failures.fail("192.0.2.1", 0.0) is None
    assert failures.fail("192.0.2.2", 0.0) is None
    assert failures.fail("2001:db8::1", 0.0) is None
    assert failures.fail("2001:db8::2", 0.0) is not None
    assert failures.fail("2001:db8:0:1::2", 0.0) is None


def test_memory_is_bounded_and_the_least_lately_failed_is_forgiven() -> None:
    failures = Failures(burst=1, most=3)
    for last in range(1, 5):
        assert failures.fail(f"192.0.2.{last}", 0.0) is None
    assert len(failures) == 3
    assert failures.fail("192.0.2.4", 0.0) is not None
    assert failures.fail("192.0.2.1", 0.0) is None


@given(pauses=st.lists(st.floats(0, 5), max_size=100), burst=st.integers(1, 5))
def test_no_more_pass_in_any_time_than_the_burst_and_the_rate(pauses: list[float], burst: int) -> None:
    failures, now, passed = Failures(burst=burst), 0.0, []
    for pause in pauses:
        now += pause
        wait_s = failures.fail("192.0.2.1", now)
        assert wait_s is None or 0 < wait_s <= EVERY_S
        passed += [now] if wait_s is None else []
    for number, begin in enumerate(passed):
        within = [at for at in passed[number:] if at - begin < 10]
        assert len(within) <= burst + 1 + 10 / EVERY_S
