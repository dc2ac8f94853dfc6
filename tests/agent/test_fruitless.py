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


def spent(times: int) -> Allowance:
    allowance = Allowance()
    for _ in range(times):
        allowance.found_nothing(SITE, EVENTS, NOW)
    return allowance


@pytest.mark.parametrize(("times", "seconds"), [(0, 0), (4, 0), (5, 2), (6, 4)])
def test_a_burst_and_then_one_in_two_seconds(times: int, seconds: int) -> None:
    assert spent(times).free_at(SITE, EVENTS, NOW) == NOW + timedelta(seconds=seconds)


def test_it_is_given_back() -> None:
    allowance = spent(5)
    assert allowance.free_at(SITE, EVENTS, NOW + EVERY) == NOW + EVERY
    allowance.found_nothing(SITE, EVENTS, NOW + EVERY)
    assert allowance.free_at(SITE, EVENTS, NOW + EVERY) == NOW + 2 * EVERY


def test_another_remote_does_not_pay() -> None:
    assert spent(9).free_at(SHOP, EVENTS, NOW) == NOW


@pytest.mark.parametrize("kind", sorted(set(TriggerKind) - {TriggerKind.EVENTS}))
def test_timers_and_people_ignore_it(kind: TriggerKind) -> None:
    """Neither are they held up, nor do they use up what events may cost, also when an event came along."""
    allowance = spent(9)
    assert allowance.free_at(SITE, EVENTS | {kind}, NOW) == NOW
    allowance = spent(BURST - 1)
    allowance.found_nothing(SITE, EVENTS | {kind}, NOW)
    assert allowance.free_at(SITE, EVENTS, NOW) == NOW


@given(st.lists(st.timedeltas(timedelta(), timedelta(seconds=3)), min_size=1, max_size=60))
def test_the_rate_is_bounded(pauses: list[timedelta]) -> None:
    """However events come, looks in vain within any time are at most the burst and one for each interval."""
    allowance, now, looks = Allowance(), NOW, []
    for pause in pauses:
        now = allowance.free_at(SITE, EVENTS, now + pause)
        allowance.found_nothing(SITE, EVENTS, now)
        looks.append(now)
    for first, begin in enumerate(looks):
        for last, end in enumerate(looks[first:], 1):
            assert last <= BURST + (end - begin) / EVERY + 1e-6
