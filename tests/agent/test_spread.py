"""When to act on what a gateway says: bounded, whatever it says (R29)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.spread import RESYNC_EVERY, RESYNC_SPREAD, Resyncs, spread_to
from bellpull.contract.event import LONGEST_SPREAD_S
from bellpull.contract.text import SyncName

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SITE, SHOP = SyncName("default/site"), SyncName("default/shop")


@pytest.mark.parametrize(
    ("spread", "chance", "seconds"),
    [(0.0, 1.0, 0.0), (4.0, 0.5, 2.0), (10.0, 1.0, 10.0), (11.0, 1.0, 10.0), (9e15, 0.5, 5.0), (-1.0, 1.0, 0.0)],
)
def test_an_agent_looks_after_a_part_of_the_spread(spread: float, chance: float, seconds: float) -> None:
    assert spread_to(NOW, spread, chance) == NOW + timedelta(seconds=seconds)


@given(st.floats(allow_nan=False), st.floats(0, 1))
def test_a_forged_spread_puts_nobody_off_for_long(spread: float, chance: float) -> None:
    assert timedelta() <= spread_to(NOW, spread, chance) - NOW <= timedelta(seconds=LONGEST_SPREAD_S)


@given(st.lists(st.tuples(st.timedeltas(timedelta(), timedelta(seconds=60)), st.floats(0, 1)), min_size=1))
def test_being_told_to_look_again_and_again_is_followed_now_and_then_and_never_left_out(
    told: list[tuple[timedelta, float]],
) -> None:
    resyncs, now, looks = Resyncs(), NOW, []
    for pause, chance in told:
        now += pause
        look = resyncs.at(SITE, now, chance)
        assert now <= look <= now + RESYNC_EVERY + RESYNC_SPREAD
        looks.append(look)
    apart = sorted(set(looks))
    assert all(later - earlier >= RESYNC_EVERY - RESYNC_SPREAD for earlier, later in pairwise(apart))


def test_each_sync_is_told_for_itself() -> None:
    resyncs = Resyncs()
    assert resyncs.at(SITE, NOW, 0.0) == resyncs.at(SHOP, NOW, 0.0) == NOW
