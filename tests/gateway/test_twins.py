from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.twins import ON_ITS_WAY, Earlier, folds
from tests.gateway.examples import T0, seconds


@pytest.mark.parametrize(
    ("earlier_seq", "newest_of_ref", "age_s", "folded"),
    [
        pytest.param(None, None, None, False, id="the first of its kind is new"),
        pytest.param(7, 7, 0.0, True, id="a twin at once is folded"),
        pytest.param(7, 7, 9.99, True, id="a twin within ten seconds is folded"),
        pytest.param(7, 7, 10.0, False, id="after ten seconds somebody meant it"),
        pytest.param(7, 8, 1.0, False, id="something newer of the ref came between"),
        pytest.param(7, 7, -1.0, False, id="the clock went back"),
    ],
)
def test_a_twin_is_folded_only_while_the_earlier_one_is_on_its_way(
    earlier_seq: int | None, newest_of_ref: int | None, age_s: float | None, *, folded: bool
) -> None:
    """R5, row by row."""
    earlier = None
    if earlier_seq is not None and newest_of_ref is not None and age_s is not None:
        earlier = Earlier(seq=earlier_seq, accepted=T0 - seconds(age_s), newest_of_ref=newest_of_ref)
    assert folds(earlier, T0) is folded


@given(seq=st.integers(1, 100), beyond=st.integers(0, 5), age=st.timedeltas(timedelta(-60), timedelta(60)))
def test_law_what_is_folded_is_the_newest_of_its_ref_and_young(seq: int, beyond: int, age: timedelta) -> None:
    """Folding never hides an event behind something newer, nor behind one that was heard long ago (R5)."""
    earlier = Earlier(seq=seq, accepted=T0 - age, newest_of_ref=seq + beyond)
    assert folds(earlier, T0) == (beyond == 0 and timedelta(0) <= age < ON_ITS_WAY)
