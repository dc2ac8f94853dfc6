"""Holes in which pushes may have been missed, and the resync that follows (R1)."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from bellpull.contract.event import Resync
from bellpull.contract.message import Message, decode
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.core.away import missed
from gateway.ports.journal import JournalError
from tests.gateway.examples import GITHUB, T0, push, seconds

CASES: dict[str, tuple[datetime | None, float, bool, str | None]] = {
    "a moment": (T0, 15, False, None),
    "a minute": (T0, 60, False, None),
    "more": (T0, 61, False, "the gateway took no pushes for 0:01:01"),
    "a weekend": (T0, 2 * 86400 + 5.4, False, "the gateway took no pushes for 2 days, 0:00:05"),
    "nobody knows": (None, 0, False, "nothing says when the gateway took pushes last"),
    "the clock went back": (T0, -5, False, "the gateway's clock was set back"),
    "some were turned away": (T0, 15, True, "pushes were turned away because they could not be written"),
}


@pytest.mark.parametrize(("last", "later_s", "turned_away", "reason"), CASES.values(), ids=CASES.keys())
def test_what_counts_as_a_hole(
    last: datetime | None, later_s: float, *, turned_away: bool, reason: str | None
) -> None:
    assert missed(last, T0 + seconds(later_s), turned_away=turned_away) == reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def resyncs(journal: SqliteJournal) -> list[str]:
    messages = [decode(row.body) for row in await journal.page(0)]
    events = [message.data for message in messages if isinstance(message, Message)]
    assert all(event.repository is None for event in events if isinstance(event, Resync))
    return [event.reason for event in events if isinstance(event, Resync)]


async def test_a_new_journal_has_missed_nothing(path: Path) -> None:
    async with open_journal(path, T0) as journal:
        await journal.sign(T0 + seconds(15))
        assert await resyncs(journal) == []


@pytest.mark.parametrize(
    ("signs", "start_s", "said"),
    [
        pytest.param([0.0, 15.0], 70, [], id="a short restart"),
        pytest.param([0.0, 15.0], 76, ["the gateway took no pushes for 0:01:01"], id="away since the clean stop"),
        pytest.param([0.0], 61, ["the gateway took no pushes for 0:01:01"], id="killed: since the last sign"),
        pytest.param([], 61, ["the gateway took no pushes for 0:01:01"], id="killed at once: since the start"),
    ],
)
async def test_a_gateway_that_was_away_tells_everybody(
    path: Path, signs: list[float], start_s: float, said: list[str]
) -> None:
    """It counts from the last sign on disk, and agents that go on with their cursor hear it like any event."""
    async with open_journal(path, T0) as journal:
        for sign_s in signs:
            await journal.sign(T0 + seconds(sign_s))
    async with open_journal(path, T0 + seconds(start_s)) as journal:
        assert await resyncs(journal) == said
        assert journal.newest() == len(said)
    async with open_journal(path, T0 + seconds(start_s + 5)) as journal:
        assert await resyncs(journal) == said


async def test_a_gateway_that_stood_still_tells_everybody(path: Path) -> None:
    """A machine that slept, or a disk that took nothing for a while."""
    async with open_journal(path, T0) as journal:
        for sign_s in (15, 30, 130, 145):
            await journal.sign(T0 + seconds(sign_s))
        assert await resyncs(journal) == ["the gateway took no pushes for 0:01:40"]


async def test_pushes_that_were_turned_away_are_followed_by_a_resync(path: Path) -> None:
    """As soon as the journal takes writes again; once."""
    async with open_journal(path, T0) as journal:
        journal.database._writing.pragma("query_only", 1)
        for attempt in (1, 2):
            with pytest.raises(JournalError):
                await journal.accept([push(1)], source=GITHUB, delivery="d1", body_digest="0" * 64, now=T0)
            with pytest.raises(JournalError):
                await journal.sign(T0 + seconds(attempt))
        journal.database._writing.pragma("query_only", 0)
        for attempt in (3, 4):
            await journal.sign(T0 + seconds(attempt))
        assert await resyncs(journal) == ["pushes were turned away because they could not be written"]


@pytest.mark.parametrize("seen", [9 * 10**18, -1, "x", 1.5])
async def test_a_sign_that_is_no_time_is_none(path: Path, seen: object) -> None:
    """A flipped bit is no reason to end at every start; nobody knows what was missed."""
    async with open_journal(path, T0):
        pass
    with closing(sqlite3.connect(path)) as disk, disk:
        disk.execute("UPDATE life SET seen = ?", (seen,))
    async with open_journal(path, T0) as journal:
        assert journal.newest() == 1


async def test_a_journal_of_before_the_signs_tells_everybody(path: Path) -> None:
    async with open_journal(path, T0) as journal:
        await journal.database.write(lambda disk: disk.execute("UPDATE life SET seen = NULL").fetchall(), within_s=5)
    async with open_journal(path, T0) as journal:
        assert await resyncs(journal) == ["nothing says when the gateway took pushes last"]
