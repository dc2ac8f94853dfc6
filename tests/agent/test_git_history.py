"""Looking for a commit in histories of which parts are missing."""

from collections.abc import Mapping
from hashlib import sha1
from itertools import count
from typing import Final

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygit2.enums import ObjectType

from agent.adapters.git.history import search
from agent.adapters.git.limit import Limit
from agent.core.ancestry import Ancestry

TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_EXAMPLES: Final = count()
Parents = Mapping[int, tuple[int, ...]]


@st.composite
def histories(draw: st.DrawFn) -> Parents:
    """Commits by number, each with up to two parents of lower numbers; the first has none."""
    size = draw(st.integers(min_value=1, max_value=6))
    return {number: draw(_parents_below(number)) for number in range(size)}


def _parents_below(number: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Mostly merges: they are where it is easy to go wrong."""
    pairs = st.permutations(range(number)).map(lambda order: tuple(order[:2]))
    return pairs | pairs | pairs.map(lambda pair: pair[:1]) | st.just(())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pygit2.Repository:
    """A repository that many histories are written into: making one takes longer than all else."""
    return pygit2.init_repository(str(tmp_path_factory.mktemp("history")), bare=True)


def _write(repository: pygit2.Repository, parents: Parents, missing: set[int]) -> list[str]:
    """Write all commits but the missing ones, which no other example has; returns the ids of all."""
    example = next(_EXAMPLES)
    ids: list[str] = []
    for number, above in parents.items():
        lines = [f"tree {TREE}", *(f"parent {ids[parent]}" for parent in above)]
        lines += [
            "author A <a@example.org> 1 +0000",
            "committer A <a@example.org> 1 +0000",
            "",
            f"commit {number} of {example}",
        ]
        data = "\n".join(lines).encode()
        ids.append(sha1(b"commit %d\0" % len(data) + data, usedforsecurity=False).hexdigest())
        if number not in missing:
            repository.write(ObjectType.COMMIT, data)
    return ids


def _within(parents: Parents, tip: int) -> set[int]:
    found = {tip}
    for number in range(tip, -1, -1):
        if number in found:
            found.update(parents[number])
    return found


@settings(max_examples=300, deadline=None)
@given(parents=histories(), data=st.data())
def test_what_is_missing_makes_unknown_and_never_a_wrong_answer(
    repository: pygit2.Repository, parents: Parents, data: st.DataObject
) -> None:
    numbers = st.sampled_from(sorted(parents))
    tip, other = len(parents) - 1, data.draw(numbers, label="other")
    missing = data.draw(st.sets(numbers, max_size=3), label="missing") - {tip}
    ids = _write(repository, parents, missing)
    found = search(repository, ids[tip], ids[other], Limit.after(10)).ancestry
    history = _within(parents, tip)
    if tip == other:
        assert found is Ancestry.SAME
    elif not history & missing - {other}:
        assert found is (Ancestry.CONTAINS if other in history else Ancestry.DIVERGED)
    else:
        assert found in (Ancestry.UNKNOWN, *([Ancestry.CONTAINS] if other in history else []))


@settings(max_examples=300, deadline=None)
@given(parents=histories(), data=st.data())
def test_as_deep_as_it_says_nothing_is_missing(
    repository: pygit2.Repository, parents: Parents, data: st.DataObject
) -> None:
    """So that no more is fetched than is needed to look further."""
    numbers = st.sampled_from(sorted(parents))
    tip = len(parents) - 1
    missing = data.draw(st.sets(numbers, max_size=3), label="missing") - {tip}
    ids = _write(repository, parents, missing)
    depth = search(repository, ids[tip], "ab" * 20, Limit.after(10)).depth
    generation = {tip}
    for _ in range(depth):
        assert not generation & missing
        generation = {parent for number in generation for parent in parents[number]}
