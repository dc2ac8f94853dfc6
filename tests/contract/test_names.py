"""Ids, cursors and words."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.ids import agent_message_id, body_digest, event_id
from bellpull.contract.text import KINDS, MessageId, Name, text
from bellpull.contract.word import WORDS, Verdict, Word, may_replace
from tests.contract.strategies import cursors, of


@given(of(Name), st.text(st.characters(exclude_characters="\0")), st.text(st.characters(exclude_characters="\0")))
def test_the_same_delivery_gives_the_same_id_and_any_text_has_one(source: Name, delivery: str, ref: str) -> None:
    assert event_id(source, delivery, ref) == event_id(source, delivery, ref)
    assert KINDS[MessageId].admits(event_id(source, delivery, ref))


def test_a_delivery_whose_header_is_no_text_has_an_id_too() -> None:
    """HTTP servers hand over bytes that are no UTF-8 as lone surrogates."""
    assert event_id(Name("github"), "d\udcff", "x") != event_id(Name("github"), "d\udcfe", "x")


@given(st.lists(st.tuples(of(Name), st.text("ab/-"), st.text("ab/-")), min_size=2, max_size=2, unique=True))
def test_other_deliveries_sources_and_refs_give_other_ids(parts: list[tuple[Name, str, str]]) -> None:
    assert event_id(*parts[0]) != event_id(*parts[1])


@given(
    st.lists(st.tuples(of(Name), st.integers(0, 2**53), st.integers(0, 2**53)), min_size=2, max_size=2, unique=True)
)
def test_messages_of_agents_have_ids_of_their_own(parts: list[tuple[Name, int, int]]) -> None:
    one, other = (agent_message_id(*part) for part in parts)
    assert one != other
    assert text(MessageId, one) == one


def test_ids_are_these_and_stay_these() -> None:
    """People have them in their notes, and `wait` in its arguments."""
    assert event_id(Name("github"), "d-1", "refs/heads/main") == "evt_df258b4a47ced89eb27a1366749dc035"
    assert agent_message_id(Name("web-1"), 4, 17) == "web-1.4.17"
    assert body_digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(cursors)
def test_a_cursor_is_read_as_it_is_written(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


_NO_CURSORS = (
    "", ".", "5000", "abcdefgh", "abcdefgh.", ".5", "abcdefgh.-1", "abcdefgh.05", "abcdefgh.1\n", "ABCDEFGH.1",
    "short.1", "abcdefgh.1.2", "abcdefgh.\u0661", "abcdefgh." + "9" * 17,
)  # fmt: skip


@pytest.mark.parametrize("value", _NO_CURSORS)
def test_what_is_no_cursor_is_refused(value: str) -> None:
    """A bare row number, as other streams have, is none (R14)."""
    with pytest.raises(ContractError, match="is not a cursor"):
        Cursor.parse(value)


def test_every_word_has_its_rule() -> None:
    assert set(WORDS) == set(Word)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.OK, {Word.APPLIED, Word.UNCHANGED}),
        (Verdict.FAIL, {Word.FAILED, Word.REJECTED}),
        (Verdict.FOLLOW, {Word.SUPERSEDED}),
        (Verdict.LEAVE_OUT, {Word.WITHDRAWN}),
        (Verdict.OPEN, {Word.HELD, Word.WAITING, Word.WORKING, Word.JUDGING}),
    ],
)
def test_words_mean_this_to_somebody_who_waits(verdict: Verdict, words: set[Word]) -> None:
    """The table of R37, whole."""
    assert {word for word, rule in WORDS.items() if rule.verdict is verdict} == words


def test_a_final_word_stays_but_failed_and_rejected_may_become_applied() -> None:
    """R34: by a later try, or once a person allowed what the guard had refused (P9)."""
    may = {(old, new) for old, new in product(Word, Word) if may_replace(old, new) and WORDS[old].final}
    assert may == {(Word.FAILED, Word.APPLIED), (Word.REJECTED, Word.APPLIED)}


def test_an_open_word_may_become_any() -> None:
    open_words = [word for word in Word if not WORDS[word].final]
    assert all(may_replace(old, new) for old, new in product(open_words, Word))
