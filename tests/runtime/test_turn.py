"""What comes in one turn of the loop is dealt with in one piece."""

import asyncio

import pytest

from bellpull.runtime.turn import Turn


async def test_all_of_a_turn_is_dealt_with_together_and_what_comes_later_is_not() -> None:
    dealt: list[list[int]] = []
    turn: Turn[int] = Turn(dealt.append)
    for number in range(3):
        turn.add(number)
    assert dealt == []
    await asyncio.sleep(0)
    turn.add(3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert dealt == [[0, 1, 2], [3]]


async def test_many_are_not_kept_until_the_turn_ends() -> None:
    dealt: list[list[int]] = []
    turn: Turn[int] = Turn(dealt.append, at_once=2)
    for number in range(5):
        turn.add(number)
    assert dealt == [[0, 1], [2, 3]]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert dealt == [[0, 1], [2, 3], [4]]


def test_what_a_loop_left_behind_goes_with_the_next_ones_first_turn() -> None:
    dealt: list[list[int]] = []
    turn: Turn[int] = Turn(dealt.append)
    left = asyncio.new_event_loop()
    left.call_soon(turn.add, 1)
    left.call_soon(left.stop)
    left.run_forever()
    left.close()
    assert dealt == []

    async def go_on() -> None:
        turn.add(2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(go_on())
    assert dealt == [[1, 2]]


def test_without_a_loop_there_is_no_turn() -> None:
    turn: Turn[int] = Turn(lambda _: None)
    with pytest.raises(RuntimeError, match="no running event loop"):
        turn.add(1)
