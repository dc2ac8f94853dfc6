"""How an agent comes back to the gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.reconnect import Ending, Patience, Pauses, Way, Ways

PATIENCE = Patience()
SILENT, SPOKE, UNOPENED = Ending.SILENT, Ending.SPOKE, Ending.UNOPENED


@pytest.mark.parametrize(
    ("lost_for_s", "brief", "ceiling_s", "refused_s"),
    [
        pytest.param(0, 0, 1, 10, id="a connection that stood just ended"),
        pytest.param(0.5, 0, 1, 10, id="half a second later"),
        pytest.param(3, 0, 3, 10, id="as long as nothing is heard"),
        pytest.param(29, 0, 29, 29, id="still"),
        pytest.param(31, 0, 30, 31, id="but no longer than half a minute"),
        pytest.param(86400, 0, 30, 60, id="nor a minute"),
        pytest.param(0, 1, 1, 10, id="one that hung up after it was heard"),
        pytest.param(0, 5, 5, 10, id="five of them"),
        pytest.param(0, 500, 30, 60, id="one that always does"),
        pytest.param(7, 5, 7, 10, id="five, and then none"),
    ],
)
def test_the_ceiling_of_a_pause(lost_for_s: float, brief: int, ceiling_s: float, refused_s: float) -> None:
    """R17: from 1 s to 30 s; of who is not let in from 10 s to a minute."""
    pauses = Pauses(lost=100, brief=brief)
    assert pauses.ceiling_s(100 + lost_for_s) == ceiling_s
    assert pauses.ceiling_s(100 + lost_for_s, refused=True) == refused_s


@given(lost_for_s=st.floats(0, 1e6), brief=st.integers(0, 1000), chance=st.floats(0, 1), refused=st.booleans())
def test_a_pause_is_below_its_ceiling_and_never_none(
    lost_for_s: float, brief: int, chance: float, *, refused: bool
) -> None:
    """R17: full jitter, but no hot loop by chance."""
    pauses = Pauses(lost=0, brief=brief)
    pause_s = pauses.pause_s(lost_for_s, chance, refused=refused)
    assert 0.1 <= pause_s <= pauses.ceiling_s(lost_for_s, refused=refused) <= (60 if refused else 30)


@given(outage_s=st.floats(0, 1e4), chances=st.lists(st.floats(0, 1), min_size=200, max_size=200))
def test_an_outage_is_followed_by_no_more_than_itself(outage_s: float, chances: list[float]) -> None:
    """Whoever comes back after pauses alone hears the gateway after at most as long again, or a second."""
    pauses, now = Pauses(lost=0), 0.0
    for chance in chances:
        now += pauses.pause_s(now, chance)
        if now >= outage_s:
            break
        pauses = pauses.after(now, heard=None)
    assert now < outage_s or now - outage_s <= min(max(outage_s, 1), 30)


def test_a_connection_that_stood_is_forgotten_and_brief_ones_add_up() -> None:
    pauses = Pauses(lost=0)
    for number in range(1, 4):
        pauses = pauses.after(number * 5, heard=number * 5 - 4)
        assert pauses == Pauses(lost=number * 5, brief=number)
    assert pauses.after(100, heard=None) == pauses
    assert pauses.after(100, heard=90) == Pauses(lost=100)


@pytest.mark.parametrize(
    ("endings", "ways"),
    [
        pytest.param([], [Way.STREAM], id="at first"),
        pytest.param([SILENT], [Way.STREAM], id="once is an accident"),
        pytest.param([SILENT, SILENT], [Way.POLL], id="twice is a proxy"),
        pytest.param([SILENT, SPOKE, SILENT], [Way.STREAM], id="not in a row"),
        pytest.param([SILENT, UNOPENED, UNOPENED, SILENT], [Way.POLL], id="in between nothing was learned"),
        pytest.param([SILENT, SILENT, SILENT], [Way.POLL], id="again"),
        pytest.param([SILENT, SILENT, SPOKE], [Way.STREAM], id="the proxy is gone"),
        pytest.param([SILENT, SILENT, SPOKE, SILENT], [Way.STREAM], id="and all begins anew"),
        pytest.param([UNOPENED] * 9, [Way.STREAM], id="the gateway is away"),
    ],
)
def test_the_way_after_streams_that_ended(endings: list[Ending], ways: list[Way]) -> None:
    """R16: two silences in a row."""
    decided = Ways()
    for ending in endings:
        decided = decided.after(ending, 50, PATIENCE, stood_s=45)
    assert [decided.way(51)] == ways


def test_polling_lasts_ten_minutes_and_then_one_silence_is_enough() -> None:
    """R16: the stream is tried again, with little patience, and given up at once if it says nothing."""
    decided = Ways(silent=1).after(SILENT, 1000, PATIENCE, stood_s=45)
    assert decided.way(1599.9) is Way.POLL
    assert decided.way(1600) is Way.STREAM
    assert (Ways().first_s(PATIENCE), decided.first_s(PATIENCE)) == (45, 10)
    assert decided.after(UNOPENED, 1601, PATIENCE, stood_s=1).way(1602) is Way.STREAM
    again = decided.after(SILENT, 1610, PATIENCE, stood_s=10)
    assert again.way(2209.9) is Way.POLL
    assert again.way(2210) is Way.STREAM


def test_a_stream_that_stood_for_long_was_a_way() -> None:
    """Silences days apart are no proxy's: each is a network that broke."""
    assert Ways(silent=1).after(SILENT, 9000, PATIENCE, stood_s=600) == Ways(silent=1)
    assert Ways(silent=2, stream_at=5.0).after(SILENT, 9000, PATIENCE, stood_s=86400) == Ways(silent=1)
