"""Looks in vain are limited, looks that find something are not (R29)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.fruitless import BURST, EVERY, Allowance
from bellpull.contract.report import TriggerKind

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVENTS = frozenset({TriggerKind.EVENTS})
SITE, SHOP = "git.example/acme/site", "git.example/acme/shop"


def spent(times: int, now: datetime = NOW) -> Allowance:
    """Return what is left after so many looks in vain."""
    allowance = Allowance()
    for _ in range(times):
        allowance.take(SITE, EVENTS, now)
    return allowance


@pytest.mark.parametrize(("times", "seconds"), [(0, 0), (4, 0), (5, 2), (6, 2), (500, 2)])
def test_a_burst_and_then_one_in_two_seconds(times: int, seconds: int) -> None:
    """However often it is asked for, the next look is never further off than that."""
    assert spent(times).take(SITE, EVENTS, NOW) == NOW + timedelta(seconds=seconds)


def test_it_is_given_back_with_time() -> None:
    allowance = spent(5)
    assert allowance.take(SITE, EVENTS, NOW + EVERY) == NOW + EVERY
    assert allowance.take(SITE, EVENTS, NOW + EVERY) == NOW + 2 * EVERY


def test_a_look_that_found_a_new_tip_costs_nothing() -> None:
    """Real pushes are never slowed, however fast they come."""
    allowance = Allowance()
    for _ in range(100):
        assert allowance.take(SITE, EVENTS, NOW) == NOW
        allowance.give_back(SITE, EVENTS)
    for _ in range(BURST):
        assert allowance.take(SITE, EVENTS, NOW) == NOW
    assert allowance.take(SITE, EVENTS, NOW) > NOW


def test_looks_at_the_same_time_count() -> None:
    """What a look will find is not known while it goes on."""
    assert spent(BURST).take(SITE, EVENTS, NOW) > NOW


def test_another_remote_does_not_pay() -> None:
    assert spent(9).take(SHOP, EVENTS, NOW) == NOW


@pytest.mark.parametrize("kind", sorted(set(TriggerKind) - {TriggerKind.EVENTS, TriggerKind.DRIFT}))
def test_timers_and_people_ignore_it(kind: TriggerKind) -> None:
    """Neither are they held up, nor do they use up what events may cost, also when an event came along."""
    allowance = spent(9)
    assert allowance.take(SITE, EVENTS | {kind}, NOW) == NOW
    allowance = spent(BURST - 1)
    allowance.take(SITE, EVENTS | {kind}, NOW)
    allowance.give_back(SITE, EVENTS | {kind})
    assert allowance.take(SITE, EVENTS, NOW) == NOW
    assert allowance.take(SITE, EVENTS, NOW) > NOW


def test_a_drift_that_came_along_pays_for_no_look() -> None:
    """It needs none; alone it is not asked."""
    drift = frozenset({TriggerKind.DRIFT})
    assert spent(9).take(SITE, EVENTS | drift, NOW) > NOW
    assert spent(9).take(SITE, drift, NOW) == NOW


@given(st.lists(st.tuples(st.timedeltas(timedelta(), timedelta(seconds=3)), st.booleans()), min_size=1, max_size=60))
def test_the_rate_is_bounded(asked: list[tuple[timedelta, bool]]) -> None:
    """However events come, looks in vain within any time are at most the burst and one for each interval."""
    allowance, now, looks = Allowance(), NOW, []
    for pause, found in asked:
        now += pause
        while (free := allowance.take(SITE, EVENTS, now)) > now:
            now = free
        if found:
            allowance.give_back(SITE, EVENTS)
        else:
            looks.append(now)
    for first, begin in enumerate(looks):
        for last, end in enumerate(looks[first:], 1):
            assert last <= BURST + (end - begin) / EVERY + 1e-6
