"""How many connections each listener has where there are not files for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.connections import LEAST, RESERVE, fit

USUAL = {"hooks": 2048, "agents": 2048, "console": 2048}
WANTED = st.dictionaries(st.sampled_from(list(USUAL)), st.integers(LEAST, 100_000), min_size=1)
FILES = st.integers(0, 100_000)


@pytest.mark.parametrize(
    ("wanted", "files", "given_"),
    [
        pytest.param(USUAL, 65_536, USUAL, id="files for all"),
        pytest.param(USUAL, 1024, dict.fromkeys(USUAL, 320), id="shared alike"),
        pytest.param(
            USUAL | {"console": 10}, 1024, {"hooks": 475, "agents": 475, "console": 10}, id="who wants little has it"
        ),
        pytest.param(USUAL, 20, dict.fromkeys(USUAL, LEAST), id="not even for the gateway's own"),
    ],
)
def test_what_fits(wanted: dict[str, int], files: int, given_: dict[str, int]) -> None:
    assert fit(wanted, files) == given_


@given(wanted=WANTED, files=FILES)
def test_all_fit_beside_the_reserve_and_none_has_more_than_it_wants(wanted: dict[str, int], files: int) -> None:
    given_ = fit(wanted, files)
    assert list(given_) == list(wanted)
    assert sum(given_.values()) <= max(files - RESERVE, LEAST * len(wanted))
    assert all(LEAST <= given_[name] <= wanted[name] for name in wanted)


@given(wanted=WANTED, files=FILES)
def test_none_is_cut_while_another_has_more(wanted: dict[str, int], files: int) -> None:
    given_ = fit(wanted, files)
    cut = [given_[name] for name in wanted if given_[name] < wanted[name]]
    assert all(max(given_.values()) - each <= 1 for each in cut) or max(given_.values()) == LEAST
