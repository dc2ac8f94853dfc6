"""Every expected Sync's word for an announcement, from what agents said (R34, R36, R37).

An outcome answers an announcement, not a commit: A -> B -> A by force is three announcements, and last week's
`applied` answers none of today's. A word that got lost is repaired from the last ten that a full heartbeat
carries; a commit that an agent never heard of is closed by the next one that it answered. What is open is never
green: an agent that is away, or was never heard, is named. All times are the gateway's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bellpull.contract.report import NotHearing, ReportHops, SyncState, Watches
from bellpull.contract.text import CommitId, Name, Note, SyncName
from bellpull.contract.word import WORDS, Word, may_replace
from gateway.core.answer import Announcement, Answer

__all__ = [
    "AWAY_AFTER",
    "AgentView",
    "Overlay",
    "Standing",
    "standings",
]

AWAY_AFTER: Final = timedelta(seconds=90)
"""Three digests missed (R23)."""
_STAY: Final = frozenset({Word.SUPERSEDED, Word.WITHDRAWN})
"""Final words that do not depend on which commit the run took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An enrolled agent that may hear of the repository, as it was heard last.

    Attributes:
        agent: its name.
        environment: of its last heartbeat, else of the enrolment record when that has only one.
        heard: when it was heard last, by the gateway's clock; none for never.
        syncs: its last full state; none for never since the state was lost.
        full: (epoch, seq) of that state.
    """

    agent: Name
    environment: Name | None = None
    heard: datetime | None = None
    syncs: tuple[SyncState, ...] | None = None
    full: tuple[int, int] | None = None


class Overlay(StrEnum):
    """What the gateway says where an agent says nothing; never final."""

    AWAY = "away"
    """Not heard for `AWAY_AFTER`."""
    UNKNOWN = "unknown"
    """Enrolled, and its Syncs are not known since the gateway has its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one Sync stands with one announcement.

    Attributes:
        agent: whose Sync.
        environment: where, as far as it is known.
        sync: none for an agent whose Syncs are not known.
        word: the Sync's, or the gateway's overlay.
        final: whether nothing more is to come.
        message: for people.
        superseded_by: which commit took its place.
        contained: whether that contains it; none when unknown.
        since: when the word was said; for `away`, when the agent was heard last.
        hops: of the report.
        not_hearing: why events do not reach the Sync, which polls, by its agent's last full state.
    """

    agent: Name
    environment: Name | None
    sync: SyncName | None
    word: Word | Overlay
    final: bool
    message: str = ""
    superseded_by: CommitId | None = None
    contained: bool | None = None
    since: datetime | None = None
    hops: ReportHops | None = None
    not_hearing: NotHearing | None = None


def standings(
    announcement: Announcement,
    *,
    later: Sequence[Announcement],
    agents: Sequence[AgentView],
    answers: Iterable[Answer],
    now: datetime,
) -> tuple[Standing, ...]:
    """Return where every expected Sync stands with `announcement`, by agent and Sync.

    Args:
        announcement: whose words are wanted.
        later: what was announced of the same ref since, oldest first.
        agents: every enrolled agent that may hear of the repository.
        answers: what was said of the ref since, in the order it came.
        now: the gateway's time.
    """
    views = {view.agent: view for view in agents}
    said = _by_sync(answers)
    found = [
        _standing(announcement, key, later=later, view=views.get(key[0]), said=said.get(key, ()), now=now)
        for key in _concerned(announcement, agents, said)
    ]
    found += [_unknown(view) for view in agents if view.syncs is None]
    told = {(view.agent, state.sync): state.not_hearing for view in agents for state in view.syncs or ()}
    return tuple(
        replace(one, not_hearing=None if one.sync is None else told.get((one.agent, one.sync)))
        for one in sorted(found, key=lambda one: (one.agent, one.sync or ""))
    )


_Key = tuple[Name, SyncName]


def _by_sync(answers: Iterable[Answer]) -> Mapping[_Key, Sequence[Answer]]:
    said: dict[_Key, list[Answer]] = {}
    for answer in answers:
        said.setdefault((answer.agent, answer.sync), []).append(answer)
    return said


def _concerned(
    announcement: Announcement,
    agents: Sequence[AgentView],
    said: Mapping[_Key, Sequence[Answer]],
) -> set[_Key]:
    """Return who watches the ref, and who said anything of this announcement."""
    watching = {
        (view.agent, state.sync)
        for view in agents
        for state in view.syncs or ()
        if _watches(state.watches, announcement)
    }
    spoke = {key for key, answers in said.items() if any(_answers(answer, announcement) for answer in answers)}
    return watching | spoke


def _standing(
    announcement: Announcement,
    key: _Key,
    *,
    later: Sequence[Announcement],
    view: AgentView | None,
    said: Sequence[Answer],
    now: datetime,
) -> Standing:
    answer = _said(announcement, said)
    if answer is None or not WORDS[answer.word].final:
        answer = _closed(announcement, later, said) or answer
    if answer is not None and WORDS[answer.word].final:
        return _spoken(answer)
    if view is None or _gone(announcement, key[1], view, answer):
        return _withdrawn(key, view, answer)
    return _open(key, view, answer, now)


def _said(announcement: Announcement, said: Sequence[Answer]) -> Answer | None:
    """Return what a Sync says of an announcement: its last word, of which a final one stays."""
    standing: Answer | None = None
    for answer in said:
        if _answers(answer, announcement):
            answer = _towards(announcement, answer)  # noqa: PLW2901 - the same word, as this announcement sees it
            if standing is None or may_replace(standing.word, answer.word):
                standing = answer
    return standing


def _answers(answer: Answer, announcement: Announcement) -> bool:
    """Whether a word is about an announcement, and not about an earlier one of the same commit (R34)."""
    if answer.superseded_by is not None and answer.superseded_by == announcement.commit:
        return False
    if announcement.event_id in answer.events:
        return not announcement.again or (answer.begun or answer.finished) > announcement.accepted
    return (
        announcement.commit is not None
        and answer.commit == announcement.commit
        and answer.repository == announcement.repository
        and answer.ref in (announcement.ref, None)
        and answer.begun is not None
        and answer.begun > announcement.accepted
    )


def _towards(announcement: Announcement, answer: Answer) -> Answer:
    """A run that took another commit than the announced one has superseded it by that."""
    took_another = None not in (answer.commit, announcement.commit) and answer.commit != announcement.commit
    if not took_another or answer.word in _STAY or not WORDS[answer.word].final:
        return answer
    return replace(answer, word=Word.SUPERSEDED, superseded_by=answer.commit, message="")


def _closed(announcement: Announcement, later: Sequence[Announcement], said: Sequence[Answer]) -> Answer | None:
    """An answer to a later announcement of the ref closes this one (R36)."""
    for following in later:
        answer = _said(following, said)
        if answer is None or not WORDS[answer.word].final:
            continue
        if following.commit == announcement.commit:
            return answer
        return replace(
            answer, word=Word.SUPERSEDED, superseded_by=following.commit, contained=None, message="", hops=None
        )
    return None


def _watches(watches: Watches, announcement: Announcement) -> bool:
    if watches.repository.key != announcement.repository:
        return False
    if watches.ref is not None:
        return watches.ref.full == announcement.ref
    return announcement.ref.startswith("refs/tags/")


def _gone(announcement: Announcement, sync: SyncName, view: AgentView, answer: Answer | None) -> bool:
    """Whether a full state that is newer than the Sync's own word has it no more, or on another ref."""
    if view.syncs is None or view.full is None or answer is None:
        return False
    if (answer.epoch, answer.seq) > view.full:
        return False
    return not any(state.sync == sync and _watches(state.watches, announcement) for state in view.syncs)


def _spoken(answer: Answer) -> Standing:
    return Standing(
        agent=answer.agent,
        environment=answer.environment,
        sync=answer.sync,
        word=answer.word,
        final=WORDS[answer.word].final,
        message=answer.message,
        superseded_by=answer.superseded_by,
        contained=answer.contained,
        since=answer.finished,
        hops=answer.hops,
    )


def _withdrawn(key: _Key, view: AgentView | None, answer: Answer | None) -> Standing:
    why = "the agent is not enrolled for this repository" if view is None else "the Sync watches this ref no more"
    environment = answer.environment if answer is not None else None
    return Standing(
        agent=key[0], environment=environment, sync=key[1], word=Word.WITHDRAWN, final=True, message=Note(why)
    )


def _open(key: _Key, view: AgentView, answer: Answer | None, now: datetime) -> Standing:
    if view.heard is None or now - view.heard > AWAY_AFTER:
        message = "its agent is not heard"
        return _overlaid(view, key[1], Overlay.AWAY, message)
    if answer is not None:
        return _spoken(answer)
    return Standing(
        agent=key[0],
        environment=view.environment,
        sync=key[1],
        word=Word.WAITING,
        final=False,
        message="it has not said anything of this yet",
    )


def _unknown(view: AgentView) -> Standing:
    return _overlaid(
        view, None, Overlay.UNKNOWN, "what this agent watches is not known: it was not heard in full yet"
    )


def _overlaid(view: AgentView, sync: SyncName | None, word: Overlay, message: str) -> Standing:
    return Standing(
        agent=view.agent,
        environment=view.environment,
        sync=sync,
        word=word,
        final=False,
        message=message,
        since=view.heard,
    )
