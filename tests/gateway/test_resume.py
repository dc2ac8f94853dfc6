from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.cursor import Cursor
from gateway.core.resume import Epoch, From, Held, Reset, resume

FIRST, SECOND = Epoch(word="aaaaaaaa", first=1), Epoch(word="bbbbbbbb", first=11)
HELD = Held(epochs=(FIRST, SECOND), oldest=5, newest=20)


@pytest.mark.parametrize(
    ("cursor", "goes_on_from"),
    [
        pytest.param("bbbbbbbb.20", 20, id="nothing was missed"),
        pytest.param("bbbbbbbb.15", 15, id="the rest of this epoch"),
        pytest.param("aaaaaaaa.10", 10, id="the last row of the epoch before"),
        pytest.param("aaaaaaaa.7", 7, id="from the epoch before into this one"),
        pytest.param("aaaaaaaa.4", 4, id="the row before the oldest kept"),
        pytest.param("bbbbbbbb.7", 7, id="examined again after a restart"),
        pytest.param("aaaaaaaa.3", None, id="a row was deleted that was not heard"),
        pytest.param("cccccccc.7", None, id="another journal's epoch"),
        pytest.param("bbbbbbbb.21", None, id="beyond the last row"),
        pytest.param("aaaaaaaa.11", None, id="beyond its epoch: a restored backup"),
        pytest.param(None, None, id="no cursor"),
    ],
)
def test_a_stream_goes_on_or_begins_anew(cursor: str | None, goes_on_from: int | None) -> None:
    """R14: a cursor that could hide a hole is answered with a reset to the newest row."""
    decision = resume(Cursor.parse(cursor) if cursor else None, HELD)
    match decision:
        case From(seq=seq):
            assert seq == goes_on_from
        case Reset(seq=seq):
            assert goes_on_from is None
            assert seq == HELD.newest


def test_an_emptied_journal_knows_its_last_cursor_and_no_earlier_one() -> None:
    """Retention may empty the table; who had heard everything goes on, who had not begins anew."""
    held = Held(epochs=(FIRST,), oldest=21, newest=20)
    assert resume(Cursor.parse("aaaaaaaa.20"), held) == From(seq=20)
    assert isinstance(resume(Cursor.parse("aaaaaaaa.19"), held), Reset)


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Epoch], int]:
    """Draw the starts of a journal and its newest row."""
    rows = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    firsts = [1 + sum(rows[:start]) for start in range(len(rows))]
    return [Epoch(word=f"epoch{n:05}", first=first) for n, first in enumerate(firsts)], sum(rows)


@given(life=lives(), data=st.data())
def test_law_a_cursor_that_was_given_out_is_taken_while_its_rows_are_kept(
    life: tuple[Sequence[Epoch], int], data: st.DataObject
) -> None:
    """No agent is reset for nothing."""
    epochs, newest = life
    place = data.draw(st.integers(0, len(epochs) - 1))
    last = epochs[place + 1].first - 1 if place + 1 < len(epochs) else newest
    seq = data.draw(st.integers(0, last))
    decision = resume(Cursor(epoch=epochs[place].word, seq=seq), Held(epochs=epochs, oldest=1, newest=newest))
    assert decision == From(seq=seq)


@given(life=lives(), seq=st.integers(0, 40), oldest=st.integers(1, 40))
def test_law_going_on_never_skips_a_row(life: tuple[Sequence[Epoch], int], seq: int, oldest: int) -> None:
    """Whatever the cursor: where the stream goes on, every later row is still there, and none lies ahead of it."""
    epochs, newest = life
    held = Held(epochs=epochs, oldest=min(oldest, newest + 1), newest=newest)
    for epoch in epochs:
        decision = resume(Cursor(epoch=epoch.word, seq=seq), held)
        assert isinstance(decision, Reset) or held.oldest - 1 <= decision.seq <= newest
