"""The inbox: named cases, and a machine that checks its laws over any course of events (P6)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core.announced import MAX_ANNOUNCED, Announced
from agent.core.inbox import Inbox, Pace, Run
from bellpull.contract.report import Trigger, TriggerKind
from bellpull.contract.text import CommitId, MessageId, SyncName

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PACE = Pace(interval=timedelta(minutes=5), retry=timedelta(minutes=1))
SITE, SHOP, BLOG = SyncName("default/site"), SyncName("default/shop"), SyncName("default/blog")
EVENTS, INTERVAL, DRIFT, CHANGE, PERSON = TriggerKind
MIDDLE = 0.5
"""The chance that leaves an interval as it is, and halves a pause."""


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def announced(number: int, *, heard: datetime = NOW) -> Announced:
    return Announced(
        event=MessageId(f"evt_{number}"),
        commit=CommitId(f"{number + 1:040x}"),
        accepted=at(number / 1000),
        heard=heard,
    )


def watching(*keys: SyncName, slots: int = 4) -> Inbox:
    inbox = Inbox(slots=slots)
    for key in keys or (SITE,):
        inbox.watch(key, PACE, NOW, MIDDLE)
    return inbox


def only(runs: tuple[Run, ...]) -> Run:
    (run,) = runs
    return run


def events(run: Run) -> list[int]:
    return [int(event.removeprefix("evt_")) for event in run.trigger.events]


def test_an_offer_is_due_at_once() -> None:
    inbox = watching()
    assert inbox.due(NOW) == ()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    run = only(inbox.due(NOW))
    assert (run.key, run.awaited, run.passed) == (SITE, announced(1), ())
    assert run.trigger == Trigger(kind=EVENTS, events=(MessageId("evt_1"),))


def test_offers_coalesce_into_the_newest() -> None:
    """Ten pushes are one run, which awaits the last one and answers them all."""
    inbox = watching()
    for number in (3, 1, 9, 4, 2, 8, 5, 7, 6, 0):
        inbox.offer(SITE, EVENTS, NOW, announced(number))
    run = only(inbox.due(NOW))
    assert run.awaited == announced(9)
    assert run.passed == tuple(announced(number) for number in range(9))
    inbox.done(SITE, at(1), MIDDLE)
    assert inbox.due(at(1)) == ()


def test_offered_while_busy_runs_again() -> None:
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    inbox.due(NOW)
    inbox.offer(SITE, EVENTS, at(1), announced(2))
    assert inbox.due(at(1)) == ()
    assert inbox.later(SITE) == {announced(2).commit}
    inbox.done(SITE, at(2), MIDDLE)
    assert events(only(inbox.due(at(2)))) == [2]


def test_a_timer_runs_after_the_interval() -> None:
    """With nothing offered, a key runs once in an interval, counted from the end of the last run."""
    inbox = watching()
    assert inbox.next_due() == at(300)
    assert inbox.due(at(299.9)) == ()
    assert only(inbox.due(at(300))).trigger == Trigger(kind=INTERVAL)
    inbox.done(SITE, at(310), 0.0)
    assert inbox.next_due() == at(310 + 240)


def test_slots_are_given_to_who_was_ready_first() -> None:
    inbox = watching(SITE, SHOP, BLOG, slots=2)
    inbox.offer(BLOG, DRIFT, at(1))
    inbox.offer(SITE, DRIFT, at(2))
    inbox.offer(SHOP, DRIFT, at(0))
    assert [run.key for run in inbox.due(at(3))] == [SHOP, BLOG]
    assert inbox.next_due() is None
    inbox.offer(SHOP, DRIFT, at(3))
    inbox.done(SHOP, at(4), MIDDLE)
    assert only(inbox.due(at(4))).key == SITE


def test_a_run_that_waits_for_a_command_gives_its_slot_to_another() -> None:
    """It is still the only run of its key, and the slot that it gives is given once."""
    inbox = watching(SITE, SHOP, BLOG, slots=1)
    for second, key in enumerate((SITE, SHOP, BLOG)):
        inbox.offer(key, DRIFT, at(second))
    assert only(inbox.due(at(3))).key == SITE
    assert inbox.next_due() is None
    inbox.aside(SITE)
    inbox.aside(SITE)
    inbox.offer(SITE, PERSON, at(4))
    assert only(inbox.due(at(4))).key == SHOP
    assert inbox.busy == {SITE, SHOP}
    inbox.done(SITE, at(5), MIDDLE)
    assert inbox.due(at(5)) == ()
    inbox.done(SHOP, at(6), MIDDLE)
    assert only(inbox.due(at(6))).key == BLOG
    inbox.done(BLOG, at(7), MIDDLE)
    assert only(inbox.due(at(7))).key == SITE
    assert inbox.due(at(7)) == (), "the next run of a key takes a slot again"


def test_what_waits_for_health_makes_way_and_goes_on() -> None:
    """P10: nothing that was to be answered is forgotten, and an interval is not waited for twice."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    run = only(inbox.due(NOW))
    assert inbox.next_look(run, at(1)) <= NOW + PACE.interval * 1.2
    inbox.offer(SITE, EVENTS, at(2), announced(2))
    inbox.interrupted(SITE, at(2), MIDDLE)
    both = only(inbox.due(at(2)))
    assert events(both) == [1, 2]
    late = at(2) + PACE.interval * 2
    inbox.interrupted(SITE, late, MIDDLE)
    looking = only(inbox.due(late))
    assert looking.kinds == {EVENTS, INTERVAL}
    assert inbox.next_look(looking, late) == late + PACE.interval
    inbox.interrupted(SITE, late, MIDDLE)
    again = only(inbox.due(late))
    inbox.done(SITE, late, MIDDLE)
    assert events(again) == [1, 2]
    assert inbox.next_due() == late + PACE.interval


def test_a_failure_backs_off() -> None:
    """From a second, doubling, to the retry interval; nothing that was to be answered is forgotten."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    now, pauses = NOW, []
    for failures in range(8):
        run = only(inbox.due(now))
        assert (events(run), run.failures) == ([1], failures)
        inbox.failed(SITE, now, 1.0)
        due = inbox.next_due()
        assert due is not None
        assert inbox.due(due - timedelta(milliseconds=1)) == ()
        pauses.append((due - now).total_seconds())
        now = due
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_success_ends_the_backing_off() -> None:
    inbox = watching()
    inbox.offer(SITE, DRIFT, NOW)
    inbox.due(NOW)
    inbox.failed(SITE, NOW, 1.0)
    inbox.due(at(1))
    inbox.done(SITE, at(1), MIDDLE)
    inbox.offer(SITE, DRIFT, at(2))
    assert only(inbox.due(at(2))).failures == 0


@pytest.mark.parametrize("during", [True, False], ids=["while it runs", "while it backs off"])
def test_a_drift_is_undone_while_git_is_away(*, during: bool) -> None:
    """P13: it runs alone, at once, as often as it comes; it neither brings the rest forward nor puts it off."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    inbox.due(NOW)
    if during:
        inbox.offer(SITE, DRIFT, at(1))
    inbox.failed(SITE, at(2), 1.0)
    for seconds in (2.1, 2.2):
        if not during or seconds > 2.1:
            inbox.offer(SITE, DRIFT, at(seconds))
        run = only(inbox.due(at(seconds)))
        assert run.kinds == {DRIFT}
        assert not run.announcements
        inbox.done(SITE, at(seconds), MIDDLE)
    assert inbox.due(at(2.9)) == ()
    run = only(inbox.due(at(3)))
    assert (events(run), run.failures) == ([1], 1)


def test_a_drift_that_cannot_be_undone_backs_off() -> None:
    """A fight, or a full disk, is no hot loop."""
    inbox = watching()
    inbox.offer(SITE, DRIFT, NOW)
    inbox.due(NOW)
    inbox.failed(SITE, NOW, 1.0)
    inbox.offer(SITE, DRIFT, at(0.5))
    assert inbox.due(at(0.9)) == ()
    assert only(inbox.due(at(1))).kinds == {DRIFT}


def test_drifts_do_not_put_off_the_poll() -> None:
    """Undoing one asks nobody for news."""
    inbox = watching()
    for seconds in range(0, 300, 10):
        inbox.offer(SITE, DRIFT, at(seconds))
        inbox.due(at(seconds))
        inbox.done(SITE, at(seconds), MIDDLE)
    assert only(inbox.due(at(300))).kinds == {INTERVAL}


@pytest.mark.parametrize(
    ("offer", "hurries"),
    [
        (lambda inbox: inbox.offer(SITE, EVENTS, at(2), announced(2)), True),
        (lambda inbox: inbox.offer(SITE, PERSON, at(2)), True),
        (lambda inbox: inbox.offer(SITE, CHANGE, at(2)), True),
        (lambda inbox: inbox.offer(SITE, INTERVAL, at(2)), False),
        (lambda inbox: inbox.offer(SITE, EVENTS, at(2)), False),
        (lambda inbox: inbox.offer(SITE, EVENTS, at(2), announced(1)), False),
    ],
    ids=[
        "a new announcement",
        "a person",
        "a change of the Sync",
        "a timer",
        "a resync",
        "an announcement heard before",
    ],
)
@pytest.mark.parametrize("during", [True, False], ids=["while it runs", "while it backs off"])
def test_what_ends_a_backing_off(offer: Callable[[Inbox], None], *, hurries: bool, during: bool) -> None:
    """A new announcement, a change or a person runs at once, with all that was put back; the rest waits."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    inbox.due(NOW)
    if during:
        offer(inbox)
    inbox.failed(SITE, at(2), 1.0)
    if not during:
        offer(inbox)
    assert bool(inbox.due(at(2))) is hurries
    if not hurries:
        assert 1 in events(only(inbox.due(at(3))))


def test_git_that_lags_is_tried_quickly_until_the_deadline() -> None:
    """50 ms to 5 s, and a last time when the waiting ends, which is when the tip is taken as it is (R33)."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    now, pauses = NOW, []
    while now < at(60):
        assert events(only(inbox.due(now))) == [1]
        inbox.waiting(SITE, now, MIDDLE)
        due = inbox.next_due()
        assert due is not None
        pauses.append((due - now) / timedelta(milliseconds=1))
        now = due
    assert pauses[:8] == [50, 100, 200, 400, 800, 1600, 3200, 5000]
    assert max(pauses) == 5000
    assert now == at(60)


def test_a_new_announcement_is_looked_for_at_once() -> None:
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    now = NOW
    for _ in range(8):
        inbox.due(now)
        inbox.waiting(SITE, now, MIDDLE)
        now = inbox.next_due() or NOW
    inbox.offer(SITE, EVENTS, now, announced(2))
    assert events(only(inbox.due(now))) == [1, 2]
    inbox.waiting(SITE, now, MIDDLE)
    assert inbox.next_due() == now + timedelta(milliseconds=50)


def test_an_old_announcement_never_starts_the_quick_tries() -> None:
    """R29: replayed after an hour, it costs one try in a retry interval at most."""
    inbox = watching()
    old = Announced(event=MessageId("evt_1"), commit=CommitId("a" * 40), accepted=at(-3600), heard=NOW)
    inbox.offer(SITE, EVENTS, NOW, old)
    inbox.due(NOW)
    inbox.waiting(SITE, NOW, MIDDLE)
    assert inbox.next_due() == at(60)


def test_what_was_answered_meanwhile_is_not_put_back() -> None:
    inbox = watching()
    for number in (1, 2, 3):
        inbox.offer(SITE, EVENTS, NOW, announced(number))
    inbox.due(NOW)
    inbox.waiting(SITE, NOW, MIDDLE, frozenset({announced(1).event, announced(2).event}))
    assert events(only(inbox.due(at(0.05)))) == [3]


def test_who_wanted_a_look_had_it_though_git_does_not_show_what_is_awaited() -> None:
    """R29: tries for what is awaited are those that events cause, and no timer's, however they began."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, at(300), announced(300_000, heard=at(300)))
    inbox.offer(SITE, PERSON, at(300))
    assert only(inbox.due(at(300))).kinds == {EVENTS, PERSON, INTERVAL}
    inbox.waiting(SITE, at(300), MIDDLE)
    assert only(inbox.due(at(301))).kinds == {EVENTS}


@pytest.mark.parametrize("end", ["waiting", "postponed"])
def test_however_often_events_come_an_interval_comes_as_well(end: str) -> None:
    """R29: rung for without end for what is not there, a key is still looked at by itself, on time."""
    inbox = watching()
    polled = []
    for number in range(400):
        now = at(number)
        inbox.offer(SITE, EVENTS, now, announced(number, heard=now))
        for run in inbox.due(now):
            polled += [number] if INTERVAL in run.kinds else []
            if end == "waiting" or INTERVAL in run.kinds:
                inbox.waiting(SITE, now, MIDDLE)
            else:
                inbox.postponed(SITE, now, now + timedelta(seconds=2))
    assert polled == [300]


def test_an_interval_does_not_wait_for_a_spread_nor_for_what_events_may_cost() -> None:
    inbox = watching()
    inbox.offer(SITE, EVENTS, at(295), announced(1), at=at(305))
    assert inbox.due(at(299)) == ()
    assert only(inbox.due(at(300))).kinds == {EVENTS, INTERVAL}
    inbox = watching()
    inbox.offer(SITE, EVENTS, at(299), announced(1))
    inbox.due(at(299))
    inbox.postponed(SITE, at(299), at(301))
    assert inbox.next_due() == at(300)
    assert only(inbox.due(at(300))).kinds == {EVENTS, INTERVAL}


def test_an_interval_waits_for_a_backing_off() -> None:
    inbox = watching()
    inbox.offer(SITE, EVENTS, at(299.5), announced(1))
    inbox.due(at(299.5))
    inbox.failed(SITE, at(299.5), 1.0)
    assert inbox.due(at(300)) == ()
    assert only(inbox.due(at(300.5))).kinds == {EVENTS, INTERVAL}


def test_a_spread_is_kept_unless_something_is_sooner() -> None:
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, at=at(8))
    assert inbox.due(at(7)) == ()
    inbox.offer(SITE, DRIFT, at(7))
    assert only(inbox.due(at(7))).kinds == {EVENTS, DRIFT}


def test_a_spread_does_not_put_off_what_is_due() -> None:
    inbox = watching()
    inbox.offer(SITE, DRIFT, NOW)
    inbox.offer(SITE, EVENTS, NOW, at=at(8))
    assert only(inbox.due(NOW)).kinds == {EVENTS, DRIFT}


def test_what_came_while_git_was_asked_is_looked_for_at_once() -> None:
    """It does not wait for the pause that the announcement before it had earned."""
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    inbox.due(NOW)
    inbox.offer(SITE, EVENTS, NOW, announced(2))
    inbox.waiting(SITE, NOW, MIDDLE)
    assert events(only(inbox.due(NOW))) == [1, 2]


def test_postponed_runs_later_with_all_it_had() -> None:
    inbox = watching()
    inbox.offer(SITE, EVENTS, NOW, announced(1))
    inbox.due(NOW)
    inbox.postponed(SITE, NOW, at(2))
    assert inbox.due(at(1.9)) == ()
    run = only(inbox.due(at(2)))
    assert (events(run), run.failures) == ([1], 0)


def test_the_strongest_kind_is_reported() -> None:
    inbox = watching()
    for kind in (INTERVAL, DRIFT, CHANGE, PERSON):
        inbox.offer(SITE, kind, NOW)
    assert only(inbox.due(NOW)).trigger == Trigger(kind=PERSON)


def test_forgotten_while_busy_does_not_run_twice() -> None:
    """A Sync that is removed and comes back while its run still goes on waits for the end of that."""
    inbox = watching()
    inbox.offer(SITE, CHANGE, NOW)
    inbox.due(NOW)
    inbox.forget(SITE)
    assert inbox.keys == frozenset()
    inbox.watch(SITE, PACE, NOW, MIDDLE)
    inbox.offer(SITE, CHANGE, NOW)
    assert inbox.keys == {SITE}
    assert inbox.due(at(1)) == ()
    inbox.done(SITE, at(1), MIDDLE)
    assert only(inbox.due(at(1))).kinds == {CHANGE}


def test_forgotten_is_gone() -> None:
    """Neither what it wanted nor what its run had comes back."""
    inbox = watching(SITE, SHOP)
    inbox.offer(SITE, CHANGE, NOW)
    inbox.due(NOW)
    inbox.offer(SITE, CHANGE, NOW)
    inbox.forget(SITE)
    inbox.failed(SITE, NOW, 0.0)
    inbox.offer(SHOP, CHANGE, NOW)
    inbox.forget(SHOP)
    inbox.offer(SHOP, CHANGE, NOW)
    assert (inbox.due(at(9999)), inbox.next_due(), inbox.busy) == ((), None, frozenset())


def test_a_shorter_interval_holds_at_once() -> None:
    inbox = watching()
    inbox.watch(SITE, Pace(interval=timedelta(seconds=10), retry=timedelta(seconds=5)), at(1), MIDDLE)
    assert inbox.next_due() == at(11)


@given(st.lists(st.integers(0, 20)), st.randoms(use_true_random=False))
def test_order_and_repetition_of_offers_do_not_matter(numbers: list[int], chance: Random) -> None:
    """However the same announcements come in, and how often, the run is the same."""

    def run_of(offers: list[int]) -> tuple[Run, ...]:
        inbox = watching()
        for number in offers:
            inbox.offer(SITE, EVENTS, NOW, announced(number))
        return inbox.due(NOW)

    shuffled = [*numbers, *numbers[::2]]
    chance.shuffle(shuffled)
    assert run_of(numbers) == run_of(shuffled)


class InboxLaws(RuleBasedStateMachine):
    """Any course of offers, runs and ends. The model is what was offered and what a run that ended well took."""

    keys = st.sampled_from([SITE, SHOP, BLOG])
    chances = st.floats(0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.running: dict[SyncName, Run] = {}
        self.open: dict[SyncName, set[MessageId]] = {}
        self.wanted: set[tuple[SyncName, TriggerKind]] = set()
        self.orphans: set[SyncName] = set()
        self.aside: set[SyncName] = set()
        self.number = 0
        self.inbox = Inbox()

    @initialize(slots=st.integers(1, 3))
    def start(self, slots: int) -> None:
        self.inbox = Inbox(slots=slots)
        for key in (SITE, SHOP, BLOG):
            self.inbox.watch(key, PACE, self.now, MIDDLE)
            self.open[key] = set()

    @rule(key=keys)
    def forget_and_watch_again(self, key: SyncName) -> None:
        """A Sync is removed and comes back: what it wanted is gone, and what goes on of it puts nothing back."""
        self.inbox.forget(key)
        self.inbox.watch(key, PACE, self.now, MIDDLE)
        self.open[key] = set()
        self.wanted -= {(key, kind) for kind in TriggerKind}
        self.orphans |= {key} & self.running.keys()

    @rule(key=keys, back=st.integers(0, 3))
    def announce(self, key: SyncName, back: int) -> None:
        """Offer a new announcement, or an earlier one again."""
        number = max(0, self.number - back)
        self.number += 1
        one = announced(number, heard=self.now)
        self.inbox.offer(key, EVENTS, self.now, one)
        self.open[key].add(one.event)
        self.wanted.add((key, EVENTS))

    @rule(key=keys, kind=st.sampled_from([INTERVAL, DRIFT, CHANGE, PERSON]), later=st.integers(0, 20))
    def offer(self, key: SyncName, kind: TriggerKind, later: int) -> None:
        self.inbox.offer(key, kind, self.now, at=self.now + timedelta(seconds=later))
        self.wanted.add((key, kind))

    @rule(ms=st.integers(0, 400_000))
    def time_passes(self, ms: int) -> None:
        self.now += timedelta(milliseconds=ms)

    @rule()
    def take(self) -> None:
        """Start what is due: never what runs, never more than fits, with all that is open, or a drift alone."""
        for run in self.inbox.due(self.now):
            assert run.key not in self.running
            self.running[run.key] = run
            wanted = {kind for key, kind in self.wanted if key == run.key}
            if run.kinds == {DRIFT} != wanted:
                assert DRIFT in wanted
                assert not run.announcements
                self.wanted.remove((run.key, DRIFT))
                continue
            assert run.kinds in (wanted, wanted | {INTERVAL})
            assert self.open[run.key] == set(run.trigger.events)
            self.open[run.key] = set()
            self.wanted -= {(run.key, kind) for kind in wanted}
        assert len(self.running.keys() - self.aside) <= self.inbox.slots

    @rule(key=keys)
    def step_aside(self, key: SyncName) -> None:
        """A run has only a command to wait for; of what does not run, it says nothing."""
        self.inbox.aside(key)
        self.aside |= {key} & self.running.keys()

    @precondition(lambda self: self.running)
    @rule(
        how=st.sampled_from(["done", "failed", "waiting", "postponed", "interrupted"]), chance=chances, data=st.data()
    )
    def end(self, how: str, chance: float, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        run = self.running.pop(key)
        self.aside.discard(key)
        if how == "done":
            self.orphans.discard(key)
            self.inbox.done(key, self.now, chance)
            return
        if key not in self.orphans:
            self.open[key] |= set(run.trigger.events)
            looked = run.kinds & {EVENTS, DRIFT} if how == "waiting" else frozenset()
            self.wanted |= {(key, kind) for kind in looked or run.kinds}
        self.orphans.discard(key)
        if how == "failed":
            self.inbox.failed(key, self.now, chance)
        elif how == "waiting":
            self.inbox.waiting(key, self.now, chance)
        elif how == "interrupted":
            self.inbox.interrupted(key, self.now, chance)
        else:
            self.inbox.postponed(key, self.now, self.now + timedelta(seconds=2))

    @invariant()
    def one_run_of_a_key(self) -> None:
        assert self.inbox.busy == self.running.keys()

    @invariant()
    def there_is_always_a_next_time(self) -> None:
        """Unless no run can start; and it is no further off than an interval with its jitter."""
        due = self.inbox.next_due()
        startable = len(self.running.keys() - self.aside) < self.inbox.slots and len(self.running) < 3
        assert (due is not None) is startable
        assert due is None or due <= self.now + PACE.interval * 1.2

    def teardown(self) -> None:
        """Left alone, with runs that end well, everything that was ever offered is answered."""
        for _ in range(12):
            for key in tuple(self.running):
                self.running.pop(key)
                self.aside.discard(key)
                self.orphans.discard(key)
                self.inbox.done(key, self.now, MIDDLE)
            self.now += PACE.retry
            self.take()
        assert not self.wanted
        assert not any(self.open.values())


InboxLaws.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInboxLaws = InboxLaws.TestCase


def test_beyond_the_bound_the_oldest_are_dropped() -> None:
    """Also across a run that puts its announcements back; the newest are what counts."""
    inbox = watching()
    for number in range(60):
        inbox.offer(SITE, EVENTS, NOW, announced(number))
    inbox.due(NOW)
    for number in range(60, 120):
        inbox.offer(SITE, EVENTS, NOW, announced(number))
    inbox.failed(SITE, NOW, 0.0)
    assert events(only(inbox.due(NOW))) == list(range(120 - MAX_ANNOUNCED, 120))
