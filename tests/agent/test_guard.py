"""The guard of a source that lost its files (P9): what stops, what passes, and what a person is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.guard import FLOOR, Guard
from agent.core.release import Item, Kind
from bellpull.contract.text import CommitId

COMMIT, OTHER = CommitId("a" * 40), CommitId("b" * 40)


def items(*names: str) -> dict[bytes, Item]:
    files = {name.encode(): Item(kind=Kind.FILE, mode=0o644, oid="0" * 40) for name in names}
    return {b"": Item(kind=Kind.FOLDER, mode=0o755)} | files


def numbered(count: int, prefix: str = "f") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


CASES = {
    "first apply, empty": ([], [], 50, None),
    "first apply": ([], numbered(100), 50, None),
    "empty": (["one"], [], 50, "EmptySource"),
    "empty, and all may go": (["one"], [], 100, "EmptySource"),
    "two of three": (numbered(3), numbered(1), 50, None),
    "one below the floor": (numbered(FLOOR), numbered(1), 0, None),
    "at the floor": (numbered(FLOOR + 1), numbered(1), 50, "MassDeletion"),
    "half": (numbered(100), numbered(50), 50, None),
    "over half": (numbered(100), numbered(49), 50, "MassDeletion"),
    "over half, and all may go": (numbered(100), numbered(49), 100, None),
    "names that change with each build": (["index", *numbered(100)], ["index", *numbered(100, "g")], 50, None),
    "fewer come than go": (["index", *numbered(100)], ["index", *numbered(40, "g")], 50, "MassDeletion"),
    "another folder": (numbered(100), numbered(200, "g"), 50, "MassDeletion"),
    "another folder, small": (numbered(9), numbered(9, "g"), 50, None),
}


@pytest.mark.parametrize(("live", "wanted", "most", "reason"), CASES.values(), ids=CASES)
def test_what_stops(live: list[str], wanted: list[str], most: int, reason: str | None) -> None:
    """P9: an empty source and a mass deletion stop; few files, renames and a first apply pass."""
    refusal = Guard(max_deletions=most).refusal(items(*live), items(*wanted), COMMIT)
    assert (refusal and refusal.split(":")[0]) == reason


def test_a_refusal_says_the_figure_what_goes_and_how_to_go_on() -> None:
    refusal = Guard().refusal(items(*numbered(100)), items("f0", "new"), COMMIT)
    assert refusal == (
        "MassDeletion: 99 of 100 files would go (f1, f10, f11, ...) and 1 would come, guard.maxDeletions is 50%; "
        f"nothing was written. If it is meant, set `guard: {{accept: {COMMIT}}}` in the Sync, else mend the source"
    )


@pytest.mark.parametrize("wanted", [[], ["f0"]])
def test_accepting_names_one_commit(wanted: list[str]) -> None:
    """R28: what a person accepted holds for that commit, and for no other."""
    guard = Guard(accept=COMMIT)
    assert guard.refusal(items(*numbered(100)), items(*wanted), COMMIT) is None
    assert guard.refusal(items(*numbered(100)), items(*wanted), OTHER)


names = st.sets(st.text("abc", min_size=1, max_size=4), max_size=40)


@given(names, names, st.integers(0, 100))
def test_law_what_deletes_nothing_passes_and_what_deletes_all_stops(
    live: set[str], more: set[str], most: int
) -> None:
    guard = Guard(max_deletions=most)
    assert guard.refusal(items(*live), items(*live | more), COMMIT) is None
    assert bool(guard.refusal(items(*live), items(), COMMIT)) is bool(live)
