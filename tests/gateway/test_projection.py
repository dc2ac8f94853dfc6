from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.report import NotHearing, SyncState, Watches
from bellpull.contract.repository import Ref
from bellpull.contract.text import MessageId, Name, Note, SyncName
from bellpull.contract.word import WORDS, Word
from gateway.core.answer import Announcement, Answer, at_gateway
from gateway.core.projection import AgentView, Overlay, Standing, standings
from tests.gateway.examples import GITHUB, T0, commit, repository, seconds

WEB, PRODUCTION, SITE = Name("web-1"), Name("production"), SyncName("default/site")
MAIN = "refs/heads/main"
KEY = "github.com/acme/site"
NOW = T0 + seconds(1000)


def announced(
    number: int, *, at_s: float | None = None, after: int | None = None, event: int | None = None
) -> Announcement:
    """Return announcement `number` of main: accepted `number` times ten seconds after T0 unless told."""
    return Announcement(
        seq=number,
        event_id=MessageId(f"evt_{number if event is None else event}"),
        repository=KEY,
        ref=MAIN,
        commit=commit(number if after is None else after),
        source=GITHUB,
        accepted=T0 + seconds(10 * number if at_s is None else at_s),
        again=event is not None,
    )


def answer(
    word: Word,
    took: int | None,
    *events: int,
    begun_s: float | None = None,
    seq: int = 1,
    superseded_by: int | None = None,
) -> Answer:
    """Return a word of the Sync for commit `took`, covering `events`."""
    begun = None if begun_s is None else T0 + seconds(begun_s)
    return Answer(
        agent=WEB,
        environment=PRODUCTION,
        sync=SITE,
        epoch=1,
        seq=seq,
        repository=KEY,
        ref=MAIN,
        word=word,
        commit=None if took is None else commit(took),
        events=tuple(MessageId(f"evt_{number}") for number in events),
        begun=begun,
        finished=(begun or T0) + seconds(1),
        superseded_by=None if superseded_by is None else commit(superseded_by),
    )


def state(ref: str = MAIN, path: str = "acme/site", sync: SyncName = SITE) -> SyncState:
    watches = Watches(repository=repository(path), ref=Ref.parse(ref))
    return SyncState(sync=sync, watches=watches, word=Word.APPLIED, commit=commit(999), applied=commit(999))


def view(*syncs: SyncState, agent: Name = WEB, silent_s: float = 5, full: tuple[int, int] = (1, 100)) -> AgentView:
    return AgentView(
        agent=agent, environment=PRODUCTION, heard=NOW - seconds(silent_s), syncs=syncs or (state(),), full=full
    )


def stand(
    announcement: Announcement,
    *answers: Answer,
    later: Sequence[Announcement] = (),
    agents: Sequence[AgentView] = (view(),),
) -> tuple[Standing, ...]:
    return standings(announcement, later=later, agents=agents, answers=answers, now=NOW)


def short(found: Sequence[Standing]) -> list[tuple[str, int | None]]:
    """Return words, and by which commit each is superseded."""
    return [(one.word, int(one.superseded_by, 16) if one.superseded_by else None) for one in found]


def test_a_sync_that_does_not_hear_is_shown_so_whatever_its_word() -> None:
    """R31: beside its word for the commit, final or not; the others of the agent are not."""
    deaf = NotHearing(since=T0, reason=Note("nothing came from the gateway for 60 s"))
    shop = SyncName("default/shop")
    syncs = (replace(state(), not_hearing=deaf), replace(state(), sync=shop))
    for said in ([], [answer(Word.APPLIED, 1, 1)]):
        found = stand(A1, *said, agents=(view(*syncs),))
        assert {one.sync: one.not_hearing for one in found} == {SITE: deaf, shop: None}


A1, B2, A3 = announced(1), announced(2), announced(3, after=1)


@pytest.mark.parametrize(
    ("of", "answers", "expected"),
    [
        pytest.param(A1, [], ("waiting", None), id="nothing was said yet"),
        pytest.param(A1, [answer(Word.APPLIED, 1, 1)], ("applied", None), id="it names the event"),
        pytest.param(A1, [answer(Word.WORKING, 1, 1)], ("working", None), id="an open word"),
        pytest.param(
            A1,
            [answer(Word.WORKING, 1, 1), answer(Word.APPLIED, 1, 1)],
            ("applied", None),
            id="the last of several words",
        ),
        pytest.param(
            A1, [answer(Word.APPLIED, 1, begun_s=11)], ("applied", None), id="a poll begun after it found it"
        ),
        pytest.param(A1, [answer(Word.APPLIED, 1, begun_s=9)], ("waiting", None), id="a poll begun before it"),
        pytest.param(A1, [answer(Word.APPLIED, 2, begun_s=11)], ("waiting", None), id="a poll that found another"),
        pytest.param(
            A3,
            [answer(Word.APPLIED, 1, 1, begun_s=11), answer(Word.APPLIED, 2, 2, begun_s=21)],
            ("waiting", None),
            id="A, B, A by force: the first A's word is history",
        ),
        pytest.param(A3, [answer(Word.APPLIED, 1, 3, begun_s=31)], ("applied", None), id="the second A has its own"),
        pytest.param(
            A1, [answer(Word.APPLIED, 2, 1, 2)], ("superseded", 2), id="a run for both took the other commit"
        ),
        pytest.param(
            A1, [answer(Word.FAILED, 2, 1, 2)], ("superseded", 2), id="the other commit's failure is its own"
        ),
        pytest.param(A1, [answer(Word.WORKING, 2, 1, 2)], ("working", None), id="it has not taken the other yet"),
        pytest.param(
            A1,
            [answer(Word.SUPERSEDED, 1, 1, superseded_by=7)],
            ("superseded", 7),
            id="the agent says by which commit",
        ),
        pytest.param(
            B2,
            [answer(Word.SUPERSEDED, 1, 1, 2, superseded_by=2)],
            ("waiting", None),
            id="that A is superseded by B does not answer B",
        ),
        pytest.param(
            A1, [answer(Word.REJECTED, None, 1)], ("rejected", None), id="the ref is gone: no commit at all"
        ),
        pytest.param(
            A1,
            [answer(Word.APPLIED, 1, 1), answer(Word.FAILED, 1, 1)],
            ("applied", None),
            id="a final word is not overwritten",
        ),
        pytest.param(
            A1,
            [answer(Word.FAILED, 1, 1), answer(Word.APPLIED, 1, 1)],
            ("applied", None),
            id="but failed may become applied",
        ),
        pytest.param(A1, [answer(Word.HELD, 1, 1)], ("held", None), id="held is open"),
    ],
)
def test_a_word_answers_an_announcement(
    of: Announcement, answers: list[Answer], expected: tuple[str, int | None]
) -> None:
    """R34: an outcome belongs to an announcement, not to a commit."""
    assert short(stand(of, *answers)) == [expected]


@pytest.mark.parametrize(
    ("answers", "later", "expected"),
    [
        pytest.param(
            [answer(Word.APPLIED, 2, 2)], [B2], ("superseded", 2), id="never heard, and the next was applied"
        ),
        pytest.param([answer(Word.FAILED, 2, 2)], [B2], ("superseded", 2), id="never heard, and the next failed"),
        pytest.param([answer(Word.WORKING, 2, 2)], [B2], ("waiting", None), id="the next is not answered yet"),
        pytest.param(
            [answer(Word.WORKING, 1, 1), answer(Word.APPLIED, 2, 2)],
            [B2],
            ("superseded", 2),
            id="left open by the agent",
        ),
        pytest.param(
            [answer(Word.APPLIED, 1, 1), answer(Word.APPLIED, 2, 2)], [B2], ("applied", None), id="its own word stays"
        ),
        pytest.param(
            [answer(Word.APPLIED, 1, 3)], [A3], ("applied", None), id="the later one is the same commit: its word"
        ),
        pytest.param(
            [answer(Word.REJECTED, None, 2)],
            [replace(B2, commit=None)],
            ("superseded", None),
            id="the later one deleted the ref",
        ),
    ],
)
def test_a_later_answer_closes_what_was_never_answered(
    answers: list[Answer], later: list[Announcement], expected: tuple[str, int | None]
) -> None:
    """R36: when a Sync has answered a later announcement of the ref, all earlier open ones are superseded by it."""
    assert short(stand(A1, *answers, later=later)) == [expected]


@pytest.mark.parametrize(
    ("begun_s", "expected"),
    [pytest.param(5, "waiting", id="before it was queued again"), pytest.param(25, "applied", id="after")],
)
def test_an_event_that_was_queued_again_wants_a_new_answer(begun_s: float, expected: str) -> None:
    """R5 and R34: the same event id twice is two announcements."""
    again = announced(2, after=1, event=1)
    assert short(stand(again, answer(Word.APPLIED, 1, 1, begun_s=begun_s))) == [(expected, None)]


@pytest.mark.parametrize(
    ("agents", "answers", "expected"),
    [
        pytest.param([view(silent_s=91)], [], [("away", False)], id="not heard for 90 s"),
        pytest.param([view(silent_s=90)], [], [("waiting", False)], id="heard 90 s ago"),
        pytest.param(
            [view(silent_s=91)], [answer(Word.APPLIED, 1, 1)], [("applied", True)], id="away, but it had ended"
        ),
        pytest.param([view(silent_s=91)], [answer(Word.WORKING, 1, 1)], [("away", False)], id="away while working"),
        pytest.param([AgentView(agent=WEB)], [], [("unknown", False)], id="enrolled and never heard"),
        pytest.param(
            [AgentView(agent=WEB, heard=NOW)],
            [answer(Word.APPLIED, 1, 1)],
            [("unknown", False), ("applied", True)],
            id="never heard in full: there may be more Syncs",
        ),
        pytest.param([], [answer(Word.WORKING, 1, 1)], [("withdrawn", True)], id="not enrolled any more"),
        pytest.param([], [answer(Word.APPLIED, 1, 1)], [("applied", True)], id="what had ended stays"),
        pytest.param(
            [view(state("refs/heads/dev"))], [answer(Word.WORKING, 1, 1)], [("withdrawn", True)], id="on another ref"
        ),
        pytest.param(
            [view(state("refs/heads/dev"), full=(1, 1))],
            [answer(Word.WORKING, 1, 1, seq=2)],
            [("working", False)],
            id="newer than the full state",
        ),
        pytest.param([view(state("refs/heads/dev"))], [], [], id="nobody watches the ref"),
        pytest.param([view(state(path="acme/other"))], [], [], id="nor the repository"),
        pytest.param(
            [view(state(), state(sync=SyncName("default/too")))], [], [("waiting", False)] * 2, id="two Syncs"
        ),
    ],
)
def test_what_is_expected_is_never_left_out(
    agents: list[AgentView], answers: list[Answer], expected: list[tuple[str, bool]]
) -> None:
    """R37: expected are the Syncs of all enrolled agents; away and unknown are open, never green."""
    assert [(one.word, one.final) for one in stand(A1, *answers, agents=agents)] == expected


def test_a_range_of_versions_concerns_tags_only() -> None:
    watches = Watches(repository=repository(), range=">=1")
    ranged = view(replace(state(), watches=watches))
    assert short(stand(replace(A1, ref="refs/tags/v1"), agents=[ranged])) == [("waiting", None)]
    assert stand(A1, agents=[ranged]) == ()


@pytest.mark.parametrize("skew_s", [-3600, 0, 3600])
def test_an_agents_wrong_clock_orders_nothing(skew_s: float) -> None:
    """R18: what happened five seconds before sealing happened five seconds before receipt, a tick to be safe."""
    issued = T0 + seconds(skew_s)
    assert at_gateway(issued - seconds(5), issued=issued, received=T0) == T0 - seconds(5.001)
    assert at_gateway(issued + seconds(5), issued=issued, received=T0) == T0


@given(
    skew_s=st.floats(-3600, 3600), age_s=st.floats(0, 100), accepted_s=st.floats(-100, 100), way_s=st.floats(0, 10)
)
def test_law_a_run_that_began_after_the_announcement_answers_it(
    skew_s: float, age_s: float, accepted_s: float, way_s: float
) -> None:
    """R34: also within the same second, as of an agent that is started again at once and heard the event before."""
    begun, accepted = T0, T0 - seconds(accepted_s)
    sealed = begun + seconds(skew_s) + seconds(age_s)
    issued = sealed.replace(microsecond=sealed.microsecond // 1000 * 1000)
    received = begun + seconds(age_s) + seconds(way_s)
    seen = at_gateway(begun + seconds(skew_s), issued=issued, received=received)
    if accepted < begun - timedelta(milliseconds=3):
        assert seen > accepted
    if accepted > begun + seconds(way_s) + timedelta(milliseconds=3):
        assert seen < accepted


WORDS_ANY = st.sampled_from(list(Word))
HISTORY = st.lists(
    st.builds(
        lambda word, took, events, begun: answer(
            word, took, *events, begun_s=begun, superseded_by=8 if word is Word.SUPERSEDED else None
        ),
        word=WORDS_ANY,
        took=st.integers(1, 3),
        events=st.sets(st.integers(1, 3), max_size=3),
        begun=st.none() | st.floats(0, 100),
    ),
    max_size=8,
)


@given(history=HISTORY, more=HISTORY)
def test_law_final_words_stay(history: list[Answer], more: list[Answer]) -> None:
    """Whatever an agent says later, a final word is not overwritten, except failed and rejected by applied (R34)."""
    three = announced(3)
    [before] = stand(three, *history)
    [after] = stand(three, *history, *more)
    if before.final and before.word is not after.word:
        assert before.word in (Word.FAILED, Word.REJECTED)
        assert after.word is Word.APPLIED


@given(history=HISTORY)
def test_law_an_answered_tip_leaves_nothing_open_behind(history: list[Answer]) -> None:
    """P5: once the newest announcement ended for a Sync, every earlier one has (R36)."""
    tips = [announced(number) for number in (1, 2, 3)]
    [last] = stand(tips[2], *history)
    if last.final:
        for place in (0, 1):
            [earlier] = stand(tips[place], *history, later=tips[place + 1 :])
            assert earlier.final


@given(history=HISTORY, silent_s=st.floats(0, 200))
def test_law_silence_never_turns_green(history: list[Answer], silent_s: float) -> None:
    """An agent that is away changes no final word, and is never ok for its being away (R37)."""
    [heard] = stand(A1, *history)
    [silent] = stand(A1, *history, agents=[view(silent_s=silent_s)])
    assert silent.final == heard.final
    assert silent == heard or silent.word is Overlay.AWAY
    assert not isinstance(silent.word, Word) or silent.final == WORDS[silent.word].final
