"""What a ref's tip says of the commit that was announced: there, not there yet, passed by, or gone (R33).

Identity decides first, and costs nothing; Git is asked only about what identity leaves open. A stale tip is never
taken for an answer: while the waiting lasts, whatever may be a server that is behind is `Lag`. Once it has ended
the tip is reconciled and the announcement superseded by it.

Waiting for one commit keeps no other from being live, or whoever can announce commits that do not exist could hold
up real ones for as long as he likes (P4). A tip that goes on from what runs, that was announced before, or that a
timer or a person asked for, is reconciled `Meanwhile`; what is awaited stays awaited.

A tip that provably does not contain the announced commit is one of two things: history was rewritten past it, or
the server is behind by more than one push. If the tip has grown out of what the ref was before the push, it is
the first; otherwise that cannot be told, and is waited for.

Accepted: a ref that was rewound to what is applied, by a push nobody announced, is taken for a server that is behind
until the waiting ends.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from agent.core.announced import Announced
from bellpull.contract.text import CommitId

__all__ = [
    "Ancestry",
    "AskGit",
    "Decision",
    "Go",
    "Lag",
    "Meanwhile",
    "RefDeleted",
    "Superseded",
    "contained",
    "decide",
]


class Ancestry(StrEnum):
    """What Git knows of a tip and another commit."""

    SAME = "same"
    CONTAINS = "contains"
    """The other commit is in the history of the tip."""
    DIVERGED = "diverged"
    """It is not, and the whole history was looked at."""
    UNKNOWN = "unknown"
    """History ends at a shallow boundary before it was met: this is never a no."""


_CONTAINED: Final[Mapping[Ancestry, bool | None]] = {
    Ancestry.SAME: True,
    Ancestry.CONTAINS: True,
    Ancestry.DIVERGED: False,
    Ancestry.UNKNOWN: None,
}
_NO_ANSWERS: Final[Mapping[CommitId, Ancestry]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Reconcile the tip; the run's own word answers the announcement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """Reconcile the tip; the announcement is superseded by it.

    `contained` is null where it is unknown, or Git was not asked: the run need not wait for that answer.
    """

    by: CommitId
    contained: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """Git does not show it yet: record nothing, come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile:
    """Reconcile the tip, which is news, and come back: Git does not show what is awaited yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefDeleted:
    """The ref is gone: what was announced for it is rejected, what runs is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskGit:
    """Ask how the tip stands to `commit` (deepening as needed), add the answer, decide again."""

    commit: CommitId


Decision = Go | Superseded | Lag | Meanwhile | RefDeleted | AskGit


def decide(
    announced: Announced | None,
    tip: CommitId | None,
    *,
    applied: CommitId | None = None,
    earlier: Collection[CommitId] = (),
    later: Collection[CommitId] = (),
    ended: bool = False,
    looked: bool = False,
    answers: Mapping[CommitId, Ancestry] = _NO_ANSWERS,
) -> Decision:
    """Decide what to do with a tip.

    Args:
        announced: what is awaited; null where a timer, a drift or a person started the run.
        tip: what the ref is now; null when it is gone.
        applied: what was applied last.
        earlier: commits announced before `announced` for the same ref, and not answered yet.
        later: commits announced after `announced` for the same ref.
        ended: whether the waiting is over (`announced.deadline` has passed).
        looked: whether a timer, a change or a person wants to know what is there as well.
        answers: what Git said of this tip and other commits so far. At most three questions are asked.
    """
    decision = _of_announced(announced, tip, applied=applied, later=later, ended=ended, answers=answers)
    if not isinstance(decision, Lag) or tip in (None, applied):
        return decision
    if looked or tip in earlier:
        return Meanwhile()
    return _going_on(applied, answers)


def _going_on(applied: CommitId | None, answers: Mapping[CommitId, Ancestry]) -> Decision:
    """Ask Git whether the tip goes on from what runs; if it may be older, it is not made."""
    if applied is None:
        return Lag()
    if applied not in answers:
        return AskGit(commit=applied)
    return Meanwhile() if answers[applied] is Ancestry.CONTAINS else Lag()


def _of_announced(
    announced: Announced | None,
    tip: CommitId | None,
    *,
    applied: CommitId | None,
    later: Collection[CommitId],
    ended: bool,
    answers: Mapping[CommitId, Ancestry],
) -> Decision:
    """Decide by what was announced."""
    if tip is None:
        return _gone(announced, ended=ended)
    if announced is None or tip == announced.commit:
        return Go()
    if tip in later:
        return Superseded(by=tip, contained=_known(answers, announced.commit))
    if ended:
        return Superseded(by=tip, contained=_known(answers, announced.commit))
    if tip in (announced.before, applied):
        return Lag()
    if announced.commit is None:
        return Superseded(by=tip)  # deleted and made anew
    return _asked(announced.commit, announced.before, tip, answers)


def contained(ancestry: Ancestry) -> bool | None:
    """Return the `contained` of a superseded commit: yes, no, or unknown."""
    return _CONTAINED[ancestry]


def _gone(announced: Announced | None, *, ended: bool) -> Decision:
    created = announced is not None and not announced.deleted and announced.before is None
    return Lag() if created and not ended else RefDeleted()


def _known(answers: Mapping[CommitId, Ancestry], commit: CommitId | None) -> bool | None:
    answer = None if commit is None else answers.get(commit)
    return None if answer is None else contained(answer)


def _asked(
    commit: CommitId, before: CommitId | None, tip: CommitId, answers: Mapping[CommitId, Ancestry]
) -> Decision:
    """Decide by Git: first about the announced commit, then about what the ref was before it."""
    match answers.get(commit):
        case None:
            return AskGit(commit=commit)
        case Ancestry.SAME | Ancestry.CONTAINS:
            return Superseded(by=tip, contained=True)
        case Ancestry.UNKNOWN:
            return Lag()
        case Ancestry.DIVERGED if before is not None and before not in answers:
            return AskGit(commit=before)
        case Ancestry.DIVERGED if before is not None and answers[before] is Ancestry.CONTAINS:
            return Superseded(by=tip, contained=False)
        case Ancestry.DIVERGED:
            return Lag()
