"""What became of a Sync: where it stands, what it runs, its last ten words (R36). A value, and how it changes.

The rules kept here:

- a final word for an announcement stays; only `failed`, and `rejected` that is then allowed, becomes `applied` (R34);
- a passing error is `working` with its message until it has lasted for the Sync's timeout, then `failed` (R37);
- `unchanged` is a short cut past work that ended well, never past a failure: once a run begins to write, or ends
  `failed` or `rejected`, the key is forgotten and the next run makes a fresh attempt (R35);
- a target that was made is `judging` while its health is waited for, and what waited goes on over commits that make
  nothing else of it, and over a restart (M11);
- what the target was made of is known apart from that: a drift is undone whatever became of later commits (P8, P13);
- a run that nobody announced and that says nothing new leaves the history as it is, so that polling does not push
  out words that somebody waits for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Self

from bellpull.contract.codec import read, write
from bellpull.contract.report import Health, NotHearing, Outcome, SyncState, Watches
from bellpull.contract.text import CommitId, MessageId, Note, SyncName
from bellpull.contract.word import WORDS, Verdict, Word, may_replace

__all__ = ["Judging", "SyncRecord", "TreeKey", "count_words", "note", "state_digest", "to_state"]

_MAX_OUTCOMES: Final = 10
_NOTE_BYTES: Final = 1024
_BESIDE: Final = frozenset({Word.SUPERSEDED, Word.WITHDRAWN})
"""Words for commits that this Sync does not run: they say nothing of where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeKey:
    """What is made, as far as it can be known without making it: the tree that is read, and the policy."""

    tree: CommitId
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What was made, and since when it is waited for its health."""

    key: TreeKey
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRecord:
    """Where a Sync stands; survives a restart as JSON.

    Attributes:
        word: for what is on its way, or ended last.
        commit: the commit `word` is about.
        message: what goes with `word`.
        applied: the commit that was applied last.
        key: of what the target has, if the last run ended well; what it makes anew is `unchanged`.
        made: of what the target has, whatever became of later commits; null while a run writes.
        made_of: the commit that brought it; null where that is `applied`.
        judging: whose health is waited for, or was not well.
        outcomes: the last ten final words, newest last.
        failing_since: when attempts began to go wrong.
        failing_commit: at which commit they did.
    """

    word: Word = Word.WORKING
    commit: CommitId | None = None
    message: Note = Note("")
    applied: CommitId | None = None
    key: TreeKey | None = None
    made: TreeKey | None = None
    made_of: CommitId | None = None
    judging: Judging | None = None
    outcomes: tuple[Outcome, ...] = ()
    failing_since: datetime | None = None
    failing_commit: CommitId | None = None

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` wrote, parsed.

        Raises:
            ContractError: with the path of what is wrong.
        """
        return read(cls, value)

    def to_json(self) -> bytes:
        """Return the record as one line of JSON."""
        return write(self)

    def is_unchanged(self, key: TreeKey) -> bool:
        """Whether `key` is what the last run that ended well made, and nothing went wrong since (R35)."""
        return self.key == key

    def now(self, word: Word, commit: CommitId | None, message: str = "") -> Self:
        """Return the record of a Sync that is on its way: `waiting`, `working`, `judging` or `held`.

        What failed stays `failed` while it is tried again; only the message is that of the last try.
        """
        if self.word is Word.FAILED and commit in (None, self.commit):
            return replace(self, message=note(message) or self.message)
        return replace(self, word=word, commit=commit, message=note(message))

    def writing(self, commit: CommitId) -> Self:
        """Return the record of a Sync whose target is about to be written: what it has is uncertain from here on."""
        return replace(self.now(Word.WORKING, commit), key=None, made=None)

    def still(self, made: TreeKey | None) -> Self:
        """Return the record of a Sync whose target was not written after all."""
        return replace(self, made=made)

    def made_from(self, commit: CommitId, made: TreeKey) -> Self:
        """Return the record of a Sync whose target was written, and whose run did not end well all the same."""
        return replace(self, key=None, made=made, made_of=commit)

    def judged(self, commit: CommitId, made: TreeKey, now: datetime) -> Self:
        """Return the record of a Sync whose target was made from `commit`, and whose health is waited for.

        The wait for what was made goes on where it stood, whichever commit it is of (M11).
        """
        since = self.judging.since if self.judging is not None and self.judging.key == made else now
        record = self.now(Word.JUDGING, commit).made_from(commit, made)
        return replace(record, judging=Judging(key=made, since=since))

    def is_judged(self, key: TreeKey) -> bool:
        """Whether `key` is what the target was made of, and all that is open is its health."""
        return self.made == key and self.judging is not None and self.judging.key == key

    def stumbled(self, commit: CommitId | None, message: str, now: datetime) -> Self:
        """Return the record after an attempt at `commit` (null: not even known) met an error that may pass."""
        begun = self.failing_since is not None and self.failing_commit == commit
        record = self if begun else replace(self, failing_since=now, failing_commit=commit)
        return record.now(Word.WORKING, commit, message)

    def is_out_of_time(self, now: datetime, timeout: timedelta) -> bool:
        """Whether attempts have gone wrong for so long that the word is `failed`."""
        return self.failing_since is not None and now - self.failing_since >= timeout

    def after(self, outcome: Outcome, *, key: TreeKey | None = None) -> Self:
        """Return the record after a final word.

        Args:
            outcome: the word, and the events it answers; those that have a final word which stays are left out.
            key: what the target has now, for `applied` and `unchanged`.
        """
        if outcome.word in _BESIDE:
            return replace(self, outcomes=_remember(self.outcomes, outcome))
        ok = WORDS[outcome.word].verdict is Verdict.OK
        still_failing = outcome.word is Word.FAILED
        return replace(
            self,
            word=outcome.word,
            commit=outcome.commit,
            message=outcome.message,
            applied=outcome.commit if ok else self.applied,
            key=key if ok else None,
            made=key if ok and key else self.made,
            made_of=None if ok and key else self.made_of,
            judging=None if ok else self.judging,
            outcomes=self.outcomes if self._is_no_news(outcome) else _remember(self.outcomes, outcome),
            failing_since=self.failing_since if still_failing else None,
            failing_commit=self.failing_commit if still_failing else None,
        )

    def _is_no_news(self, outcome: Outcome) -> bool:
        """Whether nobody announced it, and the last word about what runs was as good, for the same commit."""
        standing = next((old for old in reversed(self.outcomes) if old.word not in _BESIDE), None)
        if outcome.events or standing is None or standing.commit != outcome.commit:
            return False
        return WORDS[standing.word].verdict is WORDS[outcome.word].verdict


def to_state(
    sync: SyncName, watches: Watches, record: SyncRecord, health: Health, not_hearing: NotHearing | None = None
) -> SyncState:
    """Return what a full heartbeat says of a Sync."""
    return SyncState(
        sync=sync,
        watches=watches,
        word=record.word,
        commit=record.commit,
        applied=record.applied,
        health=health,
        message=record.message,
        outcomes=record.outcomes,
        not_hearing=not_hearing,
    )


def state_digest(states: Iterable[SyncState]) -> str:
    """Return the hash by which two full states are known to be the same, in whatever order they are listed."""
    ordered = sorted(states, key=lambda state: state.sync)
    return sha256(write(ordered)).hexdigest()[:32]


def count_words(states: Iterable[SyncState]) -> Mapping[Word, int]:
    """Return how many Syncs stand at each word; those at which none does are left out."""
    counts: dict[Word, int] = {}
    for state in states:
        counts[state.word] = counts.get(state.word, 0) + 1
    return counts


def note(message: str) -> Note:
    """Return any message as a note: cut to 1 KiB of UTF-8, and marked where it was."""
    data = message.encode("utf-8", "replace")
    if len(data) <= _NOTE_BYTES:
        return Note(data.decode())
    mark = " ..."
    return Note(data[: _NOTE_BYTES - len(mark)].decode("utf-8", "ignore") + mark)


def _remember(outcomes: tuple[Outcome, ...], outcome: Outcome) -> tuple[Outcome, ...]:
    """Add a word to the history, in place of those it may replace, and answering only what has no other yet."""
    kept: list[Outcome] = []
    events: list[MessageId] = []
    answered: set[MessageId] = set()
    for old in outcomes:
        if _is_replaced(old, outcome):
            events += old.events
        else:
            kept.append(old)
            answered.update(old.events)
    events += outcome.events
    mine = tuple(dict.fromkeys(event for event in events if event not in answered))
    if outcome.events and not mine:
        return outcomes
    return (*kept, replace(outcome, events=mine))[-_MAX_OUTCOMES:]


def _is_replaced(old: Outcome, new: Outcome) -> bool:
    return old.commit is not None and old.commit == new.commit and may_replace(old.word, new.word)
