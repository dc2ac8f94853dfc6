from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.outbox import Outbox, problems
from gateway.core.sending import Attempt, Link, Outcome, Row

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FINAL = (Outcome.CONFIRMED, Outcome.UNWANTED, Outcome.GONE)


def row(seq: int, ref: str = "refs/heads/main", repository: str = "github.com/acme/site") -> Row:
    return Row(seq=seq, repository=repository, ref=ref, accepted=T0 + timedelta(seconds=seq))


def outbox(*rows: Row, at_once: int = 200) -> Outbox:
    made = Outbox(at_once)
    made.add(rows)
    return made


def numbers(attempts: Sequence[Attempt]) -> list[int]:
    return [attempt.row.seq for attempt in attempts]


def test_of_a_backlog_the_newest_of_each_ref_goes_first_and_stands_for_the_older() -> None:
    """R13: after an outage there is one message a ref, and the freshest does not wait behind the stale."""
    box = outbox(row(1, "a"), row(2, "b"), row(3, "a"), row(4, "c"), row(5, "a"))
    sent = box.due(0)
    assert numbers(sent) == [5, 4, 2]
    settled = box.end(sent[0], Outcome.CONFIRMED, 0)
    assert settled.done == (5,)
    assert settled.folded == ((1, 5), (3, 5))
    assert box.waiting == 2


def test_it_is_stuck_only_while_all_that_waits_failed() -> None:
    """R11: a stop waits for what can go, and not for what cannot."""
    box = outbox(row(1, "a"))
    assert not box.is_stuck
    (first,) = box.due(0)
    assert not box.is_stuck
    box.end(first, Outcome.RETURNED, 0)
    assert box.is_stuck
    box.add([row(2, "b")])
    assert not box.is_stuck
    (second,) = box.due(0)
    box.end(second, Outcome.CONFIRMED, 0)
    assert box.is_stuck
    assert numbers(box.due(60)) == [1]
    assert not box.is_stuck


def test_while_one_of_a_ref_is_in_flight_what_comes_folds_into_one() -> None:
    """R6: no second of the ref goes before the first has ended, and then only the newest does."""
    box = outbox(row(1))
    (first,) = box.due(0)
    box.add([row(2), row(3)])
    assert box.due(0) == ()
    assert box.end(first, Outcome.CONFIRMED, 0).done == (1,)
    (second,) = box.due(0)
    settled = box.end(second, Outcome.CONFIRMED, 0)
    assert (settled.done, settled.folded) == ((3,), ((2, 3),))
    assert box.waiting == 0


@pytest.mark.parametrize(
    "outcome", [Outcome.NACKED, Outcome.TIMED_OUT, Outcome.RETURNED, Outcome.LOST, Outcome.CLOSED]
)
def test_what_failed_is_not_sent_after_what_came_meanwhile(outcome: Outcome) -> None:
    """R6: a retry of the older after the newer was confirmed would turn the ref back."""
    box = outbox(row(1))
    (first,) = box.due(0)
    box.add([row(2)])
    assert box.end(first, outcome, 0).done == ()
    (again,) = box.due(100)
    assert again.row.seq == 2
    assert box.end(again, Outcome.CONFIRMED, 100).folded == ((1, 2),)


def test_no_two_attempts_have_one_number() -> None:
    """R6: what timed out may still be answered, and aio-pika tells answers apart by the message's id only."""
    box = outbox(row(1))
    (first,) = box.due(0)
    box.end(first, Outcome.TIMED_OUT, 0)
    (second,) = box.due(10)
    assert second.row == first.row
    assert second.number != first.number
    assert box.end(first, Outcome.CONFIRMED, 10).done == (), "an answer to the attempt that was given up"
    assert box.end(second, Outcome.CONFIRMED, 10).done == (1,)


def test_events_about_no_ref_do_not_fold() -> None:
    box = outbox(row(1, ""), row(2, ""), row(3, "", ""), row(4, "", ""))
    assert sorted(numbers(box.due(0))) == [1, 2, 3, 4]


def test_a_backlog_of_the_freshest_does_not_starve_the_oldest() -> None:
    box = outbox(*(row(seq, f"r{seq}") for seq in range(1, 101)), at_once=8)
    assert sorted(numbers(box.due(0))) == [1, 2, 95, 96, 97, 98, 99, 100]


def test_a_lane_that_failed_rests_longer_each_time_and_no_other_waits_for_it() -> None:
    box = outbox(row(1, "a"))
    now, pauses = 0.0, []
    for _ in range(7):
        (sent,) = box.due(now)
        box.end(sent, Outcome.NACKED, now)
        assert box.due(now) == ()
        pause = box.next_due(now)
        assert pause is not None
        pauses.append(pause)
        now += pause
    assert pauses == [0.5, 1, 2, 5, 10, 30, 30]
    box.add([row(2, "b")])
    assert 2 in numbers(box.due(now - 1))


def test_a_channel_that_closes_marks_nothing_done_and_its_rows_go_again_one_by_one() -> None:
    """R6: one row that the broker cannot take must not take the others with it, for ever."""
    box = outbox(*(row(seq, f"r{seq}") for seq in range(1, 6)))
    for sent in box.due(0):
        assert box.end(sent, Outcome.CLOSED, 0).done == ()
    box.add([row(6, "fresh")])
    confirmed: list[int] = []
    parked: list[int] = []
    now = 0.0
    while box.waiting:
        batch = box.due(now)
        now = now if batch else now + (box.next_due(now) or 0)
        assert len(batch) <= 1
        for sent in batch:
            poison = sent.row.seq == 3
            settled = box.end(sent, Outcome.CLOSED if poison else Outcome.CONFIRMED, now)
            confirmed += settled.done
            parked += settled.parked
    assert sorted(confirmed) == [1, 2, 4, 5, 6]
    assert parked == [3]
    assert [each.seq for each in box.parked] == [3]


def test_what_was_folded_into_a_row_that_is_parked_goes_in_its_place() -> None:
    box = outbox(row(1), row(2), row(3))
    now, settled = 0.0, None
    for _ in range(4):
        (sent,) = box.due(now)
        settled = box.end(sent, Outcome.CLOSED, now)
        now += 100
    assert settled is not None
    assert settled.parked == (3,)
    (instead,) = box.due(now)
    settled = box.end(instead, Outcome.CONFIRMED, now)
    assert (settled.done, settled.folded) == ((2,), ((1, 2),))


def test_a_lost_connection_parks_nothing_however_often() -> None:
    """A broker that comes and goes is no reason to give a row up; one that is lost twice goes alone."""
    box = outbox(row(1, "a"), row(2, "b"))
    for sent in box.due(0):
        box.end(sent, Outcome.LOST, 0)
    batch = box.due(0)
    assert len(batch) == 2
    for sent in batch:
        box.end(sent, Outcome.LOST, 0)
    now = 0.0
    for _ in range(10):
        (sent,) = box.due(now)
        assert box.end(sent, Outcome.LOST, now).parked == ()
        now += 100
    assert box.waiting == 2


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (Link(), []),
        (
            Link(down="connection refused"),
            ["the broker cannot be reached (connection refused): 1 events wait for it"],
        ),
        (Link(blocked=True), ["the broker takes nothing, it is short of memory or disk: 1 events wait for it"]),
        (Link(missing=("agent a has no queue",)), ["agent a has no queue: run: bellpull broker setup"]),
    ],
)
def test_it_says_what_is_wrong_with_the_way(link: Link, said: list[str]) -> None:
    assert list(problems(outbox(row(1)), link)) == said


def test_it_says_what_nobody_takes_and_what_is_parked() -> None:
    """R6: unroutable although somebody should hear it is never silent; parked is shown."""
    box = outbox(row(1))
    (sent,) = box.due(0)
    assert box.end(sent, Outcome.RETURNED, 0).done == ()
    box.add_parked([row(9)])
    unroutable, parked = problems(box, Link())
    assert "github.com/acme/site" in unroutable
    assert parked.startswith("1 events are parked")
    (again,) = box.due(1)
    box.end(again, Outcome.CONFIRMED, 1)
    assert len(problems(box, Link())) == 1


class Sending(RuleBasedStateMachine):
    """Anything may come, and any attempt may end in any way, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Outbox(at_once=4)
        self.now = 0.0
        self.rows: dict[int, Row] = {}
        self.flying: list[Attempt] = []
        self.used: set[int] = set()
        self.done: set[int] = set()
        self.parked: set[int] = set()
        self.folded: dict[int, int] = {}
        self.last: dict[Any, int] = {}

    @rule(ref=st.sampled_from(["a", "b", "c", "d", "e", "f", ""]), count=st.integers(1, 3))
    def accept(self, ref: str, count: int) -> None:
        for _ in range(count):
            new = row(len(self.rows) + 1, ref)
            self.rows[new.seq] = new
            self.box.add([new])

    @rule()
    def send(self) -> None:
        for attempt in self.box.due(self.now):
            assert attempt.number not in self.used
            self.used.add(attempt.number)
            self.flying.append(attempt)

    @rule(pause_s=st.sampled_from([0.1, 1, 60]))
    def wait(self, pause_s: float) -> None:
        self.now += pause_s

    @rule(which=st.integers(0, 9), outcome=st.sampled_from(Outcome))
    def end(self, which: int, outcome: Outcome) -> None:
        if self.flying:
            self.ended(self.flying.pop(which % len(self.flying)), outcome)

    @rule(outcome=st.sampled_from([Outcome.CLOSED, Outcome.LOST]))
    def break_all(self, outcome: Outcome) -> None:
        for attempt in self.flying:
            self.ended(attempt, outcome)
        self.flying.clear()

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        settled = self.box.end(attempt, outcome, self.now)
        assert bool(settled.done) == (outcome in FINAL and outcome is not Outcome.GONE)
        assert bool(settled.gone) == (outcome is Outcome.GONE)
        seq, lane = attempt.row.seq, attempt.row.lane
        if outcome in FINAL:
            assert self.last.get(lane, 0) < seq, "a ref went backwards"
            self.last[lane] = seq
        new = {*settled.done, *settled.gone, *settled.parked, *(old for old, _ in settled.folded)}
        assert not new & (self.done | self.parked | self.folded.keys()), "settled twice"
        assert all(into in settled.done for _, into in settled.folded)
        self.done |= {*settled.done, *settled.gone}
        self.parked |= set(settled.parked)
        self.folded |= dict(settled.folded)

    @invariant()
    def nothing_accepted_is_forgotten(self) -> None:
        settled = self.done | self.parked | self.folded.keys()
        assert self.box.waiting == len(self.rows) - len(settled)
        assert {each.seq for each in self.box.parked} == self.parked

    @invariant()
    def never_two_of_a_lane_in_flight(self) -> None:
        lanes = [attempt.row.lane for attempt in self.flying]
        assert len(lanes) == len(set(lanes)) <= 4

    def teardown(self) -> None:
        """Let the broker be well again: all that can be sent is, and the newest of a ref is the last."""
        for attempt in self.flying:
            self.ended(attempt, Outcome.CONFIRMED)
        for _ in range(1000):
            for attempt in self.box.due(self.now):
                self.ended(attempt, Outcome.CONFIRMED)
            self.now += 60
            if not self.box.waiting:
                break
        assert self.box.waiting == 0
        assert self.done | self.parked | self.folded.keys() == set(self.rows)
        for lane in {each.lane for each in self.rows.values()}:
            sendable = [each.seq for each in self.rows.values() if each.lane == lane and each.seq not in self.parked]
            assert self.last.get(lane, 0) == max(sendable, default=0)


Sending.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSending = Sending.TestCase
