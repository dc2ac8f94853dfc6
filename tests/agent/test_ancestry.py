"""What a tip says of an announced commit: the table of cases, and the laws (R33, P4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.ancestry import (
    Ancestry,
    AskGit,
    Decision,
    Go,
    Lag,
    Meanwhile,
    RefDeleted,
    Superseded,
    contained,
    decide,
)
from agent.core.announced import Announced
from bellpull.contract.text import CommitId, MessageId

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD, BASE, NEW, OTHER = (CommitId(letter * 40) for letter in "abcd")
CREATED = None
NOBODY = None
GONE = None


def moved(before: CommitId | None, commit: CommitId | None, *, forced: bool = False) -> Announced:
    return Announced(
        event=MessageId(f"evt_{before}_{commit}"),
        commit=commit,
        before=before,
        forced=forced,
        accepted=NOW,
        heard=NOW,
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row: what is known, and what follows."""

    announced: Announced | None
    tip: CommitId | None
    is_: Decision
    applied: CommitId | None = None
    earlier: tuple[CommitId, ...] = ()
    looked: bool = False
    later: tuple[CommitId, ...] = ()
    ended: bool = False
    answers: Mapping[CommitId, Ancestry] = field(default_factory=dict)


PUSH = moved(BASE, NEW)
CASES = {
    "the tip is what was announced": Case(announced=PUSH, tip=NEW, is_=Go()),
    "a timer looks at what is there": Case(announced=NOBODY, tip=OTHER, is_=Go()),
    "a commit that was announced later": Case(announced=PUSH, tip=OTHER, later=(OTHER,), is_=Superseded(by=OTHER)),
    "a later push took it back": Case(announced=PUSH, tip=BASE, later=(BASE,), is_=Superseded(by=BASE)),
    "still what it was before": Case(announced=PUSH, tip=BASE, is_=Lag()),
    "still what was applied last": Case(announced=PUSH, tip=OLD, applied=OLD, is_=Lag()),
    "before, and Git was never asked in vain": Case(
        announced=PUSH, tip=BASE, answers={NEW: Ancestry.UNKNOWN}, is_=Lag()
    ),
    "something else: Git is asked": Case(announced=PUSH, tip=OTHER, is_=AskGit(commit=NEW)),
    "passed by, and in it": Case(
        announced=PUSH, tip=OTHER, answers={NEW: Ancestry.CONTAINS}, is_=Superseded(by=OTHER, contained=True)
    ),
    "not in it: asked where the tip came from": Case(
        announced=PUSH, tip=OTHER, answers={NEW: Ancestry.DIVERGED}, is_=AskGit(commit=BASE)
    ),
    "passed by with force, from the same base": Case(
        announced=PUSH,
        tip=OTHER,
        answers={NEW: Ancestry.DIVERGED, BASE: Ancestry.CONTAINS},
        is_=Superseded(by=OTHER, contained=False),
    ),
    "behind by two pushes": Case(
        announced=PUSH, tip=OTHER, answers={NEW: Ancestry.DIVERGED, BASE: Ancestry.DIVERGED}, is_=Lag()
    ),
    "a shallow boundary is not a no": Case(announced=PUSH, tip=OTHER, answers={NEW: Ancestry.UNKNOWN}, is_=Lag()),
    "nor is one below the base": Case(
        announced=PUSH, tip=OTHER, answers={NEW: Ancestry.DIVERGED, BASE: Ancestry.UNKNOWN}, is_=Lag()
    ),
    "a new branch, and another tip": Case(
        announced=moved(CREATED, NEW), tip=OTHER, answers={NEW: Ancestry.DIVERGED}, is_=Lag()
    ),
    "unknown to the end": Case(
        announced=PUSH,
        tip=OTHER,
        ended=True,
        answers={NEW: Ancestry.UNKNOWN},
        is_=Superseded(by=OTHER, contained=None),
    ),
    "behind to the end": Case(announced=PUSH, tip=BASE, ended=True, is_=Superseded(by=BASE, contained=None)),
    "there at the last moment": Case(announced=PUSH, tip=NEW, ended=True, is_=Go()),
    "forced back to what was there": Case(announced=moved(NEW, OLD, forced=True), tip=OLD, is_=Go()),
    "forced, and not there yet": Case(announced=moved(NEW, OLD, forced=True), tip=NEW, is_=Lag()),
    "what was announced before is there": Case(
        announced=PUSH, tip=OTHER, applied=OLD, earlier=(OTHER,), answers={NEW: Ancestry.UNKNOWN}, is_=Meanwhile()
    ),
    "what was announced before, and is what the ref was": Case(
        announced=PUSH, tip=BASE, applied=OLD, earlier=(BASE,), is_=Meanwhile()
    ),
    "announced before, and runs already": Case(announced=PUSH, tip=OLD, applied=OLD, earlier=(OLD,), is_=Lag()),
    "asked whether it goes on from what runs": Case(
        announced=PUSH, tip=OTHER, applied=OLD, answers={NEW: Ancestry.UNKNOWN}, is_=AskGit(commit=OLD)
    ),
    "it goes on from what runs": Case(
        announced=PUSH,
        tip=OTHER,
        applied=OLD,
        answers={NEW: Ancestry.UNKNOWN, OLD: Ancestry.CONTAINS},
        is_=Meanwhile(),
    ),
    "what the ref was goes on from what runs": Case(
        announced=PUSH, tip=BASE, applied=OLD, answers={OLD: Ancestry.CONTAINS}, is_=Meanwhile()
    ),
    "it may be older than what runs": Case(
        announced=PUSH,
        tip=OTHER,
        applied=OLD,
        answers={NEW: Ancestry.UNKNOWN, OLD: Ancestry.UNKNOWN},
        is_=Lag(),
    ),
    "a timer looks while something else is awaited": Case(
        announced=PUSH, tip=OTHER, applied=OLD, looked=True, answers={NEW: Ancestry.UNKNOWN}, is_=Meanwhile()
    ),
    "a timer finds what runs": Case(announced=PUSH, tip=OLD, applied=OLD, looked=True, is_=Lag()),
    "deleted as announced": Case(announced=moved(BASE, GONE), tip=GONE, is_=RefDeleted()),
    "deleted, says Git first": Case(announced=PUSH, tip=GONE, is_=RefDeleted()),
    "deleted, finds a timer": Case(announced=NOBODY, tip=GONE, is_=RefDeleted()),
    "created, and not there yet": Case(announced=moved(CREATED, NEW), tip=GONE, is_=Lag()),
    "created, and never there": Case(announced=moved(CREATED, NEW), tip=GONE, ended=True, is_=RefDeleted()),
    "deleted, and not gone yet": Case(announced=moved(BASE, GONE), tip=BASE, is_=Lag()),
    "deleted, and never gone": Case(announced=moved(BASE, GONE), tip=BASE, ended=True, is_=Superseded(by=BASE)),
    "deleted and made anew": Case(announced=moved(BASE, GONE), tip=OTHER, is_=Superseded(by=OTHER)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_table(case: Case) -> None:
    """Each situation has the one decision that R33 names for it."""
    decision = decide(
        case.announced,
        case.tip,
        applied=case.applied,
        earlier=case.earlier,
        looked=case.looked,
        later=case.later,
        ended=case.ended,
        answers=case.answers,
    )
    assert decision == case.is_


commits = st.sampled_from([OLD, BASE, NEW, OTHER])
ancestries = st.sampled_from(Ancestry)
updates = st.builds(moved, commits | st.none(), commits)
situations = st.fixed_dictionaries(
    {
        "announced": updates,
        "tip": commits,
        "applied": commits | st.none(),
        "earlier": st.frozensets(commits),
        "looked": st.booleans(),
        "later": st.frozensets(commits),
        "ended": st.booleans(),
        "answers": st.dictionaries(commits, ancestries),
    }
)


def of(situation: dict[str, object]) -> Decision:
    return decide(**situation)  # type: ignore[arg-type]  # drawn to fit


@given(situations)
def test_a_shallow_boundary_is_never_a_no(situation: dict[str, object]) -> None:
    """Where Git answers nothing but `unknown`, no commit is said not to be contained."""
    situation["answers"] = dict.fromkeys([OLD, BASE, NEW, OTHER], Ancestry.UNKNOWN)
    decision = of(situation)
    assert not isinstance(decision, Superseded) or decision.contained is None


@given(situations)
def test_a_stale_tip_is_never_done(situation: dict[str, object]) -> None:
    """While the waiting lasts, what the ref was before or what is applied ends no waiting, unless announced."""
    announced = situation["announced"]
    assert isinstance(announced, Announced)
    stale = {announced.before, situation["applied"]} - {announced.commit}
    situation["ended"] = False
    if situation["tip"] in stale and situation["tip"] not in situation["later"]:  # type: ignore[operator]
        decision = of(situation)
        assert decision in (Lag(), Meanwhile(), AskGit(commit=situation["applied"]))  # type: ignore[arg-type]
        assert decision == Lag() or situation["tip"] != situation["applied"]


@given(situations)
def test_meanwhile_nothing_older_is_made(situation: dict[str, object]) -> None:
    """Only what was announced before, goes on from what runs, or what a timer would have made anyway."""
    if of(situation) == Meanwhile():
        answers: Mapping[object, Ancestry] = situation["answers"]  # type: ignore[assignment]
        goes_on = answers.get(situation["applied"]) is Ancestry.CONTAINS
        assert goes_on or situation["looked"] or situation["tip"] in situation["earlier"]  # type: ignore[operator]


@given(situations)
def test_a_commit_that_never_comes_holds_up_no_other(situation: dict[str, object]) -> None:
    """P4: whatever is announced, a tip that Git says goes on from what runs is made, now or in what is asked next."""
    situation["answers"] = dict.fromkeys([OLD, BASE, NEW, OTHER], Ancestry.UNKNOWN) | {
        situation["applied"]: Ancestry.CONTAINS
    }
    if situation["applied"] not in (None, situation["tip"]):
        assert of(situation) != Lag()


@given(situations)
def test_identity_decides_before_git_is_asked(situation: dict[str, object]) -> None:
    """A question to Git means that the tip is none of the commits that are known."""
    situation["answers"] = {}
    announced = situation["announced"]
    assert isinstance(announced, Announced)
    if isinstance(of(situation), AskGit):
        known = {announced.commit, situation["applied"], *situation["later"]}  # type: ignore[misc]
        assert situation["tip"] not in known


@given(situations, st.lists(ancestries, min_size=5, max_size=5))
def test_at_most_three_questions(situation: dict[str, object], said: list[Ancestry]) -> None:
    """Whatever Git answers, a decision stands after three answers, and no question is asked twice."""
    answers: dict[CommitId, Ancestry] = {}
    situation["answers"] = answers
    for answer in said:
        decision = of(situation)
        if not isinstance(decision, AskGit):
            break
        assert decision.commit not in answers
        answers[decision.commit] = answer
    assert len(answers) <= 3


@given(situations)
def test_the_deadline_ends_the_waiting(situation: dict[str, object]) -> None:
    """Once the waiting is over there is neither another try nor another question."""
    situation["ended"] = True
    assert not isinstance(of(situation), Lag | AskGit)


@given(situations)
def test_what_is_superseded_is_superseded_by_the_tip(situation: dict[str, object]) -> None:
    decision = of(situation)
    assert not isinstance(decision, Superseded) or decision.by == situation["tip"]


@pytest.mark.parametrize(
    ("ancestry", "answer"), list(zip(Ancestry, [True, True, False, None], strict=True)), ids=list(Ancestry)
)
def test_contained(ancestry: Ancestry, answer: bool | None) -> None:
    assert contained(ancestry) is answer


def test_an_old_announcement_is_not_waited_for() -> None:
    """R29: one that was more than a minute old when it was heard never starts the quick tries."""
    old = Announced(event=MessageId("evt"), commit=NEW, accepted=NOW - timedelta(seconds=61), heard=NOW)
    assert old.deadline == NOW
    assert PUSH.deadline == NOW + timedelta(seconds=60)
