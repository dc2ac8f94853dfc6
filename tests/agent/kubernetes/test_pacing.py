"""How often an object is written to make sure, and against somebody who writes it too."""

from typing import Final

from agent.core.kubernetes.object import GroupKind, ObjectId
from agent.core.kubernetes.pacing import Confirmations, Fights

A: Final = ObjectId(GroupKind("", "ConfigMap"), "shop", "a")
B: Final = ObjectId(GroupKind("", "ConfigMap"), "shop", "b")


def test_an_object_that_others_write_beside_us_is_confirmed_ever_more_seldom() -> None:
    """Ten seconds, doubling up to half an hour; of another object nothing is known."""
    confirmations, now, pauses = Confirmations(), 0.0, []
    for _ in range(10):
        confirmations.done(A, now, wrote=False)
        due = confirmations.due(A, now)
        pauses.append(due - now)
        now = due
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]
    assert confirmations.due(B, now) == now


def test_where_there_was_something_to_write_the_next_may_come_soon() -> None:
    confirmations = Confirmations()
    for _ in range(5):
        confirmations.done(A, 0, wrote=False)
    confirmations.done(A, 0, wrote=True)
    assert confirmations.due(A, 0) == 10
    confirmations.forget(A)
    assert confirmations.due(A, 0) == 0


def test_five_corrections_in_two_minutes_are_no_fight() -> None:
    """However often that happens in a day."""
    fights = Fights()
    for number in range(500):
        now = number * 24.1
        assert fights.due(A, now) == now
        fights.corrected(A, now)


def test_a_fight_is_held_ever_longer() -> None:
    """From the sixth correction on: 2, 6, 18, 54, 162, 300 s."""
    fights, now, holds = Fights(), 0.0, []
    for _ in range(13):
        fights.corrected(A, now)
        due = fights.due(A, now)
        holds.append(due - now)
        now = due + 0.1
    assert holds == [0, 0, 0, 0, 0, 2, 6, 18, 54, 162, 300, 300, 300]
    assert fights.due(B, now) == now


def test_a_fight_is_over_when_nothing_was_changed_for_two_minutes_more() -> None:
    fights, now = Fights(), 0.0
    for _ in range(8):
        fights.corrected(A, now)
        now = fights.due(A, now)
    now += 121
    fights.corrected(A, now)
    assert fights.due(A, now) == now


def test_what_is_to_be_something_else_is_no_fight() -> None:
    """A commit changed it."""
    fights = Fights()
    for _ in range(8):
        fights.corrected(A, 0)
    fights.forget(A)
    assert fights.due(A, 0) == 0
