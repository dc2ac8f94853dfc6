"""The words in which a Sync answers an announced commit: a closed table (R37)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["WORDS", "Verdict", "Word", "WordRule", "may_replace"]


class Word(StrEnum):
    """What a Sync says of a commit that was announced to it."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    HELD = "held"
    WAITING = "waiting"
    WORKING = "working"
    JUDGING = "judging"


class Verdict(StrEnum):
    """What a word means to somebody who waits."""

    OK = "ok"
    FAIL = "fail"
    FOLLOW = "follow"
    """Look at the commit that superseded it."""
    LEAVE_OUT = "leave out"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRule:
    """One row of the table.

    Attributes:
        verdict: for somebody who waits.
        means: one sentence, for the reference.
    """

    verdict: Verdict
    means: str

    @property
    def final(self) -> bool:
        """Whether nothing more is to come for this announcement (bar `failed` and `rejected` that heal)."""
        return self.verdict is not Verdict.OPEN


WORDS: Final[Mapping[Word, WordRule]] = {
    Word.APPLIED: WordRule(
        verdict=Verdict.OK,
        means="The ref resolved to it, all was applied and pruned, and is healthy where the Sync waits for that.",
    ),
    Word.UNCHANGED: WordRule(
        verdict=Verdict.OK,
        means="It changes nothing that this Sync reads, or was not selected; what runs is applied and well.",
    ),
    Word.FAILED: WordRule(
        verdict=Verdict.FAIL,
        means="Attempts ended at the Sync's timeout; the message has object and reason. A retry may yet apply it.",
    ),
    Word.REJECTED: WordRule(
        verdict=Verdict.FAIL,
        means="Policy said no before anything was written: signature, guard, an invalid tree, a deleted ref. "
        "It is applied after all once a person allows it.",
    ),
    Word.SUPERSEDED: WordRule(
        verdict=Verdict.FOLLOW,
        means="Another commit took its place, which contains it, does not, or that is unknown.",
    ),
    Word.WITHDRAWN: WordRule(
        verdict=Verdict.LEAVE_OUT,
        means="The Sync was deleted, moved to another ref, or its agent is no longer enrolled.",
    ),
    Word.HELD: WordRule(
        verdict=Verdict.OPEN, means="Suspended, or waits for a dependency or a window; the message has which."
    ),
    Word.WAITING: WordRule(verdict=Verdict.OPEN, means="Git does not have the commit yet."),
    Word.WORKING: WordRule(verdict=Verdict.OPEN, means="Between fetch and prune; a passing error is in the message."),
    Word.JUDGING: WordRule(verdict=Verdict.OPEN, means="Applied; waits for health."),
}

_MAY_HEAL: Final = frozenset({Word.FAILED, Word.REJECTED})


def may_replace(old: Word, new: Word) -> bool:
    """Whether `new` may follow `old` for the same Sync, commit and announcement (R34).

    A final word stays, with one exception: what `failed` or was `rejected` may become `applied`, by a retry or once a
    person allowed it (`guard.accept`).
    """
    return not WORDS[old].final or (old in _MAY_HEAL and new is Word.APPLIED)
