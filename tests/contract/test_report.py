"""What an agent says: the rules between fields, and numbers that are numbers."""

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from bellpull.contract.codec import read
from bellpull.contract.errors import ContractError
from bellpull.contract.report import Counts, Health, Report, StageSeconds, SyncState
from bellpull.contract.word import Word

GOLDEN: Final = Path(__file__).parent / "golden" / "v1"


def golden(name: str) -> Any:
    return orjson.loads((GOLDEN / f"{name}.json").read_bytes())["data"]


@pytest.mark.parametrize(("count", "admitted"), [(0, True), (10, True), (11, False)])
def test_health_names_up_to_ten_objects(count: int, *, admitted: bool) -> None:
    value = {"status": "failing", "failing": [{"object": "o", "reason": "r"}] * count}
    if admitted:
        assert len(read(Health, value).failing) == count
    else:
        with pytest.raises(ContractError, match=r"^health\.failing: has more than 10 objects$"):
            read(Health, value, "health")


@pytest.mark.parametrize(("count", "admitted"), [(0, True), (10, True), (11, False)])
def test_a_sync_keeps_its_last_ten_words(count: int, *, admitted: bool) -> None:
    state = golden("heartbeat.v1")["full"][0]
    value = {**state, "outcomes": state["outcomes"][:1] * count}
    if admitted:
        assert len(read(SyncState, value).outcomes) == count
    else:
        with pytest.raises(ContractError, match=r"^full\[0\].outcomes: has more than 10 words$"):
            read(SyncState, value, "full[0]")


@pytest.mark.parametrize("word", Word)
def test_superseded_says_by_what_and_no_other_word_has_to(word: Word) -> None:
    """P5."""
    value = {**golden("report.v1"), "word": word, "superseded_by": None}
    if word is Word.SUPERSEDED:
        with pytest.raises(ContractError, match=r"^data\.superseded_by: is missing"):
            read(Report, value, "data")
    else:
        assert read(Report, value, "data").word is word


@pytest.mark.parametrize("value", [True, False, "1", -0.5, -1, 2**53, 1e300, [], {}])
def test_seconds_are_numbers_that_are_not_negative(value: object) -> None:
    with pytest.raises(ContractError, match=r"^apply: is not a number from 0 to 2\^53$"):
        read(StageSeconds, {"apply": value})


@pytest.mark.parametrize(("value", "seconds"), [(0, 0.0), (2, 2.0), (0.031, 0.031), (2**53 - 1, 2.0**53 - 1)])
def test_seconds_may_be_whole(value: float, seconds: float) -> None:
    apply = read(StageSeconds, {"apply": value}).apply
    assert (type(apply), apply) == (float, seconds)


@pytest.mark.parametrize("value", [True, 1.0, 1.5, "1", -1, 2**53, None])
def test_counts_are_whole_numbers(value: object) -> None:
    with pytest.raises(ContractError, match=r"^created: is not a whole number from 0 to 2\^53$"):
        read(Counts, {"created": value})
