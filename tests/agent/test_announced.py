"""Announcements of a ref as a bounded set."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agent.core.announced import MAX_ANNOUNCED, Announced, gather
from bellpull.contract.event import Assurance, Delivery, EventHops, RefUpdated
from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.text import CommitId, MessageId, Name, RefName

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A, B = CommitId("a" * 40), CommitId("b" * 40)


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


announcements = st.builds(
    lambda event, accepted, heard: Announced(
        event=MessageId(f"evt_{event}"), commit=A, accepted=at(accepted), heard=at(heard)
    ),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 5),
)


@given(st.lists(announcements), st.randoms())
def test_order_and_repetition_do_not_matter(offered: list[Announced], chance: Random) -> None:
    """Any order, in any portions, with repetition, gives the same set."""
    shuffled = offered + offered[: len(offered) // 2]
    chance.shuffle(shuffled)
    half = len(shuffled) // 2
    assert gather((*gather(shuffled[:half]), *gather(shuffled[half:]))) == gather(offered)


@given(st.lists(announcements))
def test_every_event_is_there_once(offered: list[Announced]) -> None:
    events = [one.event for one in gather(offered)]
    assert sorted(events) == sorted({one.event for one in offered})


def test_the_oldest_fall_off() -> None:
    """Beyond the bound the newest stay; the gateway closes the others itself (R36)."""
    offered = [
        Announced(event=MessageId(f"evt_{number}"), commit=A, accepted=at(number), heard=NOW)
        for number in range(MAX_ANNOUNCED + 7)
    ]
    assert gather(reversed(offered)) == tuple(offered[7:])


def test_repetition_pushes_out_nothing_that_was_announced_once() -> None:
    """A commit that is announced without end takes the place of its own announcements (R29)."""
    real = Announced(event=MessageId("evt_real"), commit=B, accepted=at(3), heard=NOW)
    rung = [
        Announced(event=MessageId(f"evt_{number}"), commit=A, accepted=at(number), heard=NOW)
        for number in range(5 * MAX_ANNOUNCED)
    ]
    kept = gather((*rung, real))
    assert kept == (real, *rung[1 - MAX_ANNOUNCED :])


def test_repetition_does_not_prolong_the_waiting() -> None:
    """Heard again, an announcement is waited for from when it was first heard; accepted again, it is newer."""
    first = Announced(event=MessageId("evt"), commit=A, accepted=at(0), heard=at(0))
    again = Announced(event=MessageId("evt"), commit=A, accepted=at(0), heard=at(30))
    redelivered = Announced(event=MessageId("evt"), commit=A, accepted=at(40), heard=at(41))
    assert gather((again, first)) == (first,)
    assert gather((redelivered, first, again)) == (redelivered,)


def test_from_an_event() -> None:
    """What an event announces is its ref's way and its hops; nothing else of it is kept."""
    update = RefUpdated(
        repository=Repository.from_url("https://git.example/acme/site"),
        ref=Ref(kind=RefKind.BRANCH, name=RefName("main")),
        before=A,
        after=B,
        created=False,
        deleted=False,
        forced=True,
        actor="somebody",
        delivery=Delivery(provider=Name("github"), source=Name("github"), id="1", assurance=Assurance.SIGNATURE),
        hops=EventHops(pushed=at(-2), received=at(-1), accepted=at(0)),
    )
    assert Announced.from_event(MessageId("evt"), update, at(1)) == Announced(
        event=MessageId("evt"),
        commit=B,
        before=A,
        forced=True,
        accepted=at(0),
        heard=at(1),
        received=at(-1),
        pushed=at(-2),
    )
