"""Lines that strangers can cause, said sparingly."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.runtime.logs import logger
from bellpull.runtime.sparing import EVERY_S, MOST, Sparing, SparingLog


def test_the_first_is_said_at_once_and_the_last_when_the_minute_is_over() -> None:
    """R40: a line a minute, with how many were held back, also when nothing comes any more."""
    sparing: Sparing[int] = Sparing()
    assert [sparing.says("key", number, number / 100) for number in range(1000)] == [True] + [False] * 999
    assert list(sparing.due(EVERY_S - 0.01)) == []
    assert list(sparing.due(EVERY_S)) == [(999, 998, False)]
    assert list(sparing.due(3 * EVERY_S)) == []
    assert len(sparing) == 0


def test_what_goes_on_is_said_once_a_minute() -> None:
    sparing: Sparing[int] = Sparing()
    said = []
    for second in range(600):
        said += [(second, 0)] if sparing.says("key", second, float(second)) else []
        said += [(held.last, held.more) for held in sparing.due(float(second))]
    assert said == [(0, 0), *((minute * 60, 59) for minute in range(1, 10))]


def test_different_keys_do_not_hold_back_one_another() -> None:
    sparing: Sparing[str] = Sparing()
    assert sparing.says("a", "one", 0.0)
    assert sparing.says("b", "two", 0.0)
    assert not sparing.says("a", "three", 1.0)


def test_keys_without_number_share_one() -> None:
    """Neither lines nor memory grow with the number of addresses."""
    sparing: Sparing[int] = Sparing()
    said = sum(sparing.says(("address", number), number, 1.0) for number in range(10_000))
    assert said == MOST + 1 == len(sparing)
    assert list(sparing.due(61.0)) == [(9_999, 10_000 - said - 1, True)]


@given(
    calls=st.lists(st.tuples(st.integers(0, 6), st.floats(0, 50), st.booleans())),
    most=st.integers(1, 4),
)
def test_every_one_is_said_or_counted_and_no_more_are_said_than_keys_in_a_minute(
    calls: list[tuple[int, float, bool]], most: int
) -> None:
    sparing: Sparing[int] = Sparing(most=most)
    now, said, told = 0.0, [], 0
    for key, pause, look in calls:
        now += pause
        if sparing.says(key, key, now):
            said.append(now)
            told += 1
        if look:
            due = list(sparing.due(now))
            said += [now] * len(due)
            told += sum(1 + held.more for held in due)
        assert len(sparing) <= most + 1
        assert all(sum(start <= at < start + EVERY_S - 0.001 for at in said) <= most + 1 for start in said)
    assert told + sum(1 + held.more for held in sparing.due(float("inf"))) == len(calls)


async def test_the_log_says_what_it_held_back_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    log = SparingLog(logger("part"))
    running = asyncio.get_running_loop().create_task(log.run())
    await asyncio.sleep(0)
    for number in range(5):
        log.note("refused", "192.0.2.1", "token", number=number)
    log.note("refused", "192.0.2.2", "token", number=7)
    running.cancel()
    await asyncio.wait([running])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["number"], line.get("held_back")) for line in lines] == [(0, None), (7, None), (4, 3)]
    assert {(line["event"], line["level"]) for line in lines} == {("refused", "warning")}
