"""The end of what a program prints, as it goes to a log or a report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.tail import KEPT, Tail


def test_what_is_short_is_whole() -> None:
    tail = Tail()
    tail.add(b"one\n")
    tail.add(b"two\n")
    assert tail.text() == "one\ntwo"


def test_of_what_is_long_the_end_stays_and_says_so() -> None:
    tail = Tail()
    for number in range(10_000):
        tail.add(b"%d\n" % number)
    assert tail.text().startswith("...")
    assert tail.text(16) == "...\n9997\n9998\n9999"[-16:] or tail.text(16).endswith("9999")


def test_control_characters_do_not_reach_a_terminal() -> None:
    tail = Tail()
    tail.add(b"\x1b[31mred\xff\x00")
    assert tail.text() == "\ufffd[31mred\ufffd\ufffd"


@given(st.lists(st.binary(max_size=3000), max_size=5), st.sampled_from([16, 768, KEPT]))
@pytest.mark.filterwarnings("error")
def test_law_any_output_is_text_within_the_bound(parts: list[bytes], most: int) -> None:
    tail = Tail()
    for part in parts:
        tail.add(part)
    assert len(tail.text(most).encode()) <= most
