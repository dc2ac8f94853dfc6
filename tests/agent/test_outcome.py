"""What became of a Sync: named cases, and the laws of its words (R34 to R37)."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.outcome import SyncRecord, TreeKey, count_words, note, state_digest, to_state
from bellpull.contract.errors import ContractError
from bellpull.contract.report import Health, HealthStatus, Outcome, Watches
from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.text import CommitId, MessageId, Note, RefName, SyncName
from bellpull.contract.word import WORDS, Verdict, Word, may_replace

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A, B, C = (CommitId(letter * 40) for letter in "abc")
TREE, OTHER_TREE = TreeKey(tree=A, policy="p1"), TreeKey(tree=B, policy="p1")
TIMEOUT = timedelta(minutes=2)
FINAL = sorted(word for word in Word if WORDS[word].final)
HEALTH = Health(status=HealthStatus.NOT_ASKED)
WATCHES = Watches(
    repository=Repository.from_url("https://git.example/acme/site"),
    ref=Ref(kind=RefKind.BRANCH, name=RefName("main")),
)


def said(word: Word, commit: CommitId | None, *events: int, message: str = "") -> Outcome:
    return Outcome(
        word=word,
        commit=commit,
        events=tuple(MessageId(f"evt_{event}") for event in events),
        finished=NOW,
        superseded_by=C if word is Word.SUPERSEDED else None,
        message=Note(message),
    )


def history(record: SyncRecord) -> list[tuple[Word, CommitId | None, list[int]]]:
    return [
        (old.word, old.commit, [int(event.removeprefix("evt_")) for event in old.events]) for old in record.outcomes
    ]


APPLIED_A = SyncRecord().after(said(Word.APPLIED, A, 1), key=TREE)


def test_applied() -> None:
    record = APPLIED_A
    assert (record.word, record.commit, record.applied, record.key) == (Word.APPLIED, A, A, TREE)
    assert history(record) == [(Word.APPLIED, A, [1])]


def test_the_same_key_again_is_unchanged() -> None:
    """A commit that touches nothing of what is read costs nothing."""
    assert APPLIED_A.is_unchanged(TREE)
    assert not APPLIED_A.is_unchanged(OTHER_TREE)
    assert not APPLIED_A.is_unchanged(TreeKey(tree=TREE.tree, policy="p2"))
    assert not SyncRecord().is_unchanged(TREE)


@pytest.mark.parametrize("word", [Word.FAILED, Word.REJECTED])
def test_unchanged_never_hides_a_failure(word: Word) -> None:
    """R35: after a run that ended badly a commit with the same tree gets a fresh attempt."""
    assert not APPLIED_A.after(said(word, B, 2)).is_unchanged(TREE)


def test_unchanged_never_hides_a_write_that_was_cut_off() -> None:
    """Once a run begins to write, what the target has is uncertain, also after a restart."""
    writing = APPLIED_A.writing(B)
    assert not writing.is_unchanged(TREE)
    assert not SyncRecord.from_json(orjson.loads(writing.to_json())).is_unchanged(TREE)


@pytest.mark.parametrize("word", [Word.FAILED, Word.REJECTED])
def test_what_the_target_was_made_of_is_known_whatever_became_of_later_commits(word: Word) -> None:
    """A drift is undone all the same (P8); while a run writes nobody knows what is there."""
    record = SyncRecord().after(said(Word.APPLIED, A), key=TREE)
    assert record.after(said(word, B)).made == TREE
    assert record.writing(B).made is None
    assert record.writing(B).still(record.made).after(said(word, B)).made == TREE


def test_a_fetch_that_stumbled_does_not_cost_the_short_cut() -> None:
    assert APPLIED_A.stumbled(None, "no route", NOW).is_unchanged(TREE)


def test_a_passing_error_is_working_until_the_timeout() -> None:
    """R37: `failed` is not said at the first hiccup; the clock starts with the first error at this commit."""
    record = APPLIED_A.stumbled(B, "disk is full", NOW)
    assert (record.word, record.commit, record.message) == (Word.WORKING, B, "disk is full")
    record = record.stumbled(B, "still full", NOW + timedelta(seconds=119))
    assert not record.is_out_of_time(NOW + timedelta(seconds=119), TIMEOUT)
    assert record.is_out_of_time(NOW + timedelta(seconds=120), TIMEOUT)


@pytest.mark.parametrize("word", [Word.WAITING, Word.WORKING, Word.JUDGING, Word.HELD])
def test_on_its_way(word: Word) -> None:
    """An open word changes where it stands, and neither what is applied nor the history."""
    record = APPLIED_A.now(word, B, "not there yet")
    assert (record.word, record.commit, record.message) == (word, B, "not there yet")
    assert (record.applied, record.key, record.outcomes) == (A, TREE, APPLIED_A.outcomes)


def test_another_commit_has_its_own_time() -> None:
    record = APPLIED_A.stumbled(B, "", NOW).stumbled(C, "", NOW + timedelta(seconds=100))
    assert not record.is_out_of_time(NOW + timedelta(seconds=120), TIMEOUT)


def test_success_stops_the_clock() -> None:
    record = APPLIED_A.stumbled(B, "", NOW).after(said(Word.APPLIED, B, 2), key=OTHER_TREE)
    assert not record.is_out_of_time(NOW + timedelta(days=1), TIMEOUT)


def test_failed_stays_failed_while_it_is_retried() -> None:
    """The clock runs on, so that each further error is not `working` for another timeout."""
    record = APPLIED_A.stumbled(B, "", NOW).after(said(Word.FAILED, B, 2))
    assert record.stumbled(B, "", NOW + TIMEOUT).is_out_of_time(NOW + TIMEOUT, TIMEOUT)
    assert record.applied == A


def test_trying_again_does_not_take_failed_back() -> None:
    """R37: nobody sees `failed` turn into `working` and back at each try; another commit is another matter."""
    failed = APPLIED_A.after(said(Word.FAILED, B, 2, message="disk is full"))
    for again in (failed.writing(B), failed.stumbled(B, "still full", NOW), failed.stumbled(None, "no route", NOW)):
        assert (again.word, again.commit) == (Word.FAILED, B)
    assert failed.writing(B).message == "disk is full"
    assert failed.stumbled(B, "still full", NOW).message == "still full"
    assert failed.writing(C).word is Word.WORKING


def test_failed_becomes_applied() -> None:
    """By a later run for the same commit, which answers what `failed` had answered, though nobody announced it."""
    record = APPLIED_A.after(said(Word.FAILED, B, 2, 3)).after(said(Word.APPLIED, B), key=OTHER_TREE)
    assert history(record) == [(Word.APPLIED, A, [1]), (Word.APPLIED, B, [2, 3])]


def test_rejected_becomes_applied() -> None:
    """P9: once a person allowed it, of which no event tells, whoever asks for that push hears it was applied."""
    refused = APPLIED_A.after(said(Word.REJECTED, B, 2, 3, message="EmptySource"))
    assert refused.after(said(Word.REJECTED, B)).outcomes == refused.outcomes
    record = refused.after(said(Word.APPLIED, B), key=OTHER_TREE)
    assert history(record) == [(Word.APPLIED, A, [1]), (Word.APPLIED, B, [2, 3])]
    assert (record.word, record.message, record.outcomes[-1].message) == (Word.APPLIED, "", "")
    other = refused.after(said(Word.APPLIED, C), key=OTHER_TREE)
    assert history(other)[1:] == [(Word.REJECTED, B, [2, 3]), (Word.APPLIED, C, [])]


def test_superseded_says_nothing_of_where_it_stands() -> None:
    record = APPLIED_A.after(said(Word.SUPERSEDED, B, 2))
    assert (record.word, record.commit, record.key) == (Word.APPLIED, A, TREE)
    assert history(record)[-1] == (Word.SUPERSEDED, B, [2])


def test_a_replayed_event_does_not_take_a_word_back() -> None:
    """R34: superseded stays superseded, though the ref is back at that commit and it is applied now."""
    record = APPLIED_A.after(said(Word.SUPERSEDED, B, 2)).after(said(Word.APPLIED, B, 2, 3), key=OTHER_TREE)
    assert history(record)[1:] == [(Word.SUPERSEDED, B, [2]), (Word.APPLIED, B, [3])]
    assert record.after(said(Word.UNCHANGED, B, 2, 3), key=OTHER_TREE).outcomes == record.outcomes


def test_polling_leaves_the_history_alone() -> None:
    """A timer that finds nothing new must not push out a word that somebody waits for."""
    record = APPLIED_A
    for _ in range(20):
        record = record.after(said(Word.UNCHANGED, A), key=TREE)
    assert history(record) == [(Word.APPLIED, A, [1])]


def test_the_last_ten_are_kept() -> None:
    """R36: ten words, whatever they answer."""
    record = APPLIED_A
    for number in range(2, 14):
        record = record.after(said(Word.SUPERSEDED, B, number))
    assert [events for _, _, events in history(record)] == [[number] for number in range(4, 14)]


def test_a_poll_that_finds_something_is_remembered() -> None:
    record = APPLIED_A.after(said(Word.APPLIED, B), key=OTHER_TREE)
    assert history(record)[-1] == (Word.APPLIED, B, [])
    record = record.after(said(Word.FAILED, B))
    assert history(record)[-1] == (Word.FAILED, B, [])
    assert record.after(said(Word.FAILED, B)).outcomes == record.outcomes


words = st.sampled_from(FINAL)
outcomes = st.builds(
    said, words, st.sampled_from([A, B, C]), st.integers(0, 9), st.integers(0, 9), message=st.text(max_size=9)
)
courses = st.lists(outcomes, max_size=40)


def follow(course: list[Outcome]) -> list[SyncRecord]:
    records = [SyncRecord()]
    for outcome in course:
        records.append(records[-1].after(outcome, key=TREE))
    return records


@given(courses)
def test_a_final_word_stays(course: list[Outcome]) -> None:
    """While the history remembers an event, its word changes only as `may_replace` says."""
    for before, after in zip(follow(course), follow(course)[1:], strict=False):
        old = {event: one.word for one in before.outcomes for event in one.events}
        new = {event: one.word for one in after.outcomes for event in one.events}
        for event in old.keys() & new.keys():
            assert old[event] is new[event] or may_replace(old[event], new[event])


@given(courses)
def test_every_event_has_one_word(course: list[Outcome]) -> None:
    """The history is ten words at most, names no event twice, and the event just answered is in it."""
    record = follow(course)[-1]
    events = [event for one in record.outcomes for event in one.events]
    assert len(record.outcomes) <= 10
    assert len(events) == len(set(events))
    assert not course or set(course[-1].events) <= set(events)


@given(courses, st.builds(TreeKey, tree=st.sampled_from([A, B]), policy=st.sampled_from(["p1", "p2"])))
def test_unchanged_only_after_what_ended_well(course: list[Outcome], key: TreeKey) -> None:
    """The short cut is open only if the last word about what runs is one that is ok."""
    record = follow(course)[-1]
    ended = [one for one in course if one.word not in (Word.SUPERSEDED, Word.WITHDRAWN)]
    well = bool(ended) and WORDS[ended[-1].word].verdict is Verdict.OK
    assert record.is_unchanged(key) == (well and key == TREE)


@given(courses)
def test_it_survives_a_restart(course: list[Outcome]) -> None:
    record = follow(course)[-1]
    assert SyncRecord.from_json(orjson.loads(record.to_json())) == record


def test_damaged_json_is_an_error_that_says_where() -> None:
    with pytest.raises(ContractError, match=r"outcomes\[0\]\.finished: is missing"):
        SyncRecord.from_json({"outcomes": [{"word": "applied", "commit": None, "events": []}]})


def test_a_wait_for_health_is_of_what_was_made_and_not_of_a_commit() -> None:
    """M11: its time goes on over commits that make the same, over failures, and over a restart."""
    begun = SyncRecord().judged(A, TREE, NOW)
    assert (begun.word, begun.commit, begun.made, begun.key) == (Word.JUDGING, A, TREE, None)
    assert begun.is_judged(TREE)
    assert not begun.is_judged(OTHER_TREE)
    later = SyncRecord.from_json(orjson.loads(begun.to_json())).judged(B, TREE, NOW + TIMEOUT)
    assert (later.word, later.commit) == (Word.JUDGING, B)
    assert later.judging is not None
    assert later.judging.since == NOW
    failed = later.after(said(Word.FAILED, B, 1))
    assert failed.is_judged(TREE)
    assert not failed.is_unchanged(TREE)
    again = failed.judged(B, TREE, NOW + 2 * TIMEOUT)
    assert (again.word, again.judging) == (Word.FAILED, later.judging)


def test_what_else_is_made_is_waited_for_anew() -> None:
    other = SyncRecord().judged(A, TREE, NOW).writing(B)
    assert not other.is_judged(TREE)
    begun = other.judged(B, OTHER_TREE, NOW + TIMEOUT)
    assert begun.judging is not None
    assert begun.judging.since == NOW + TIMEOUT
    well = begun.after(said(Word.APPLIED, B, 1), key=OTHER_TREE)
    assert well.judging is None
    assert well.is_unchanged(OTHER_TREE)


def test_to_state() -> None:
    """A full heartbeat says the word, what is applied, and the history."""
    state = to_state(
        SyncName("default/site"),
        WATCHES,
        APPLIED_A.stumbled(B, "disk is full", NOW),
        HEALTH,
    )
    assert (state.word, state.commit, state.applied) == (Word.WORKING, B, A)
    assert (state.message, state.outcomes) == ("disk is full", APPLIED_A.outcomes)


def test_the_digest_knows_the_state_and_not_its_order() -> None:
    site = to_state(SyncName("default/site"), WATCHES, APPLIED_A, HEALTH)
    shop = to_state(SyncName("default/shop"), WATCHES, SyncRecord(), HEALTH)
    assert state_digest([site, shop]) == state_digest([shop, site])
    assert state_digest([site]) != state_digest([site, shop])
    moved = to_state(SyncName("default/site"), WATCHES, APPLIED_A.after(said(Word.APPLIED, B, 2), key=TREE), HEALTH)
    assert state_digest([site]) != state_digest([moved])
    assert count_words([site, shop, moved]) == {Word.APPLIED: 2, Word.WORKING: 1}


@given(st.text(max_size=3000))
def test_any_message_is_a_note(message: str) -> None:
    """Within 1 KiB as it is; beyond, cut at a character."""
    written = note(message)
    assert len(written.encode()) <= 1024
    assert message.encode("utf-8", "replace").decode().startswith(written.removesuffix(" ..."))
