"""A secret is compared, revealed, and otherwise nothing."""

import copy
import json
import pickle
from collections.abc import Callable

import pytest

from bellpull.runtime.secret import Secret

WORD = b"hunter2-hunter2"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r:>20}".format, lambda s: json.dumps([s], default=str), lambda s: f"{[s]}"]
)
def test_no_way_of_showing_it_shows_it(show: Callable[[Secret], str]) -> None:
    assert "hunter2" not in show(Secret(WORD))
    assert "Secret(***)" in show(Secret(WORD))


@pytest.mark.parametrize("move", [pickle.dumps, copy.copy, copy.deepcopy, hash, vars])
def test_it_goes_nowhere(move: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError):
        move(Secret(WORD))


def test_it_is_compared_by_its_bytes_and_with_secrets_only() -> None:
    assert Secret(WORD) == Secret(bytes(WORD))
    assert Secret(WORD) != Secret(b"other")
    assert Secret(WORD) != WORD


def test_nothing_is_no_secret() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Secret(b"")


def test_who_asks_gets_the_bytes() -> None:
    assert Secret(WORD).reveal() == WORD
