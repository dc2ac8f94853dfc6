"""Deliveries that are written together, on the same journal as one after the other."""

import asyncio
import random
from pathlib import Path

import pytest

from bellpull.contract.message import decode
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.ports.journal import JournalError, Stored
from tests.gateway.examples import GITHUB, T0, push, seconds

_REFS = ("refs/heads/main", "refs/heads/dev")


def some(random_: random.Random) -> list[tuple[int, str, str, float]]:
    """Return deliveries, most of which have a twin: number, ref, digest, and when each comes."""
    times = sorted(random_.uniform(0, 25) for _ in range(40))
    return [(random_.randint(1, 3), random_.choice(_REFS), random_.choice("01") * 64, at_s) for at_s in times]


async def put(journal: SqliteJournal, number: int, ref: str, digest: str, at_s: float) -> Stored:
    message = push(number, ref=ref)
    return await journal.accept(
        [message], source=GITHUB, delivery=f"d{number}", body_digest=digest, now=T0 + seconds(at_s)
    )


@pytest.mark.parametrize("seed", range(5))
async def test_law_what_waits_together_folds_as_if_it_had_come_alone(tmp_path: Path, seed: int) -> None:
    """R5: a twin sees what was written before it, also where that waits for the same commit."""
    deliveries = some(random.Random(seed))
    rows, answers = [], []
    for together in (1, 7, len(deliveries)):
        async with open_journal(tmp_path / f"{together}.db", T0) as journal:
            stored: list[Stored] = []
            for start in range(0, len(deliveries), together):
                stored += await asyncio.gather(
                    *(put(journal, *each) for each in deliveries[start : start + together])
                )
            found = await journal.page(0)
            assert journal.newest() == found[-1].seq
        answers.append(stored)
        rows.append([(row.seq, row.event_id, row.ref, row.accepted) for row in found])
    assert rows[0] == rows[1] == rows[2]
    assert answers[0] == answers[1] == answers[2]
    assert {one.folded for one in answers[0]} == {True, False}


async def test_more_rows_than_one_statement_takes_are_written_in_their_order(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.db", T0) as journal:
        many = [push(number) for number in range(1, 601)]
        first = journal.accept(many, source=GITHUB, delivery="d", body_digest="0" * 64, now=T0)
        await asyncio.gather(first, *(put(journal, number, _REFS[0], "0" * 64, 0) for number in range(601, 1001)))
        rows = [*await journal.page(0), *await journal.page(500)]
        assert [row.seq for row in rows] == list(range(1, 1001))
        assert [decode(row.body) for row in rows] == [push(number) for number in range(1, 1001)]
        assert journal.newest() == 1000


async def test_what_is_folded_moves_nobody(tmp_path: Path) -> None:
    """Also right after a start, when the last thing written was no event."""
    for _ in range(3):
        async with open_journal(tmp_path / "journal.db", T0):
            pass
    async with open_journal(tmp_path / "journal.db", T0) as journal:
        await put(journal, 1, _REFS[0], "0" * 64, 0)
    async with open_journal(tmp_path / "journal.db", T0) as journal:
        assert await put(journal, 1, _REFS[0], "0" * 64, 1) == Stored(event_ids=(push(1).id,), folded=True)
        assert journal.newest() == 1


async def test_a_disk_that_refuses_refuses_the_whole_group(tmp_path: Path) -> None:
    """R8: a group fails as a whole, and what follows it is not harmed."""
    async with open_journal(tmp_path / "journal.db", T0) as journal:
        limit = journal.database.write(lambda disk: disk.pragma("max_page_count", 1), within_s=5)
        _, *refused = await asyncio.gather(
            limit,  # in the same group, or the upkeep may set its own; so few are handed over in one piece
            *(put(journal, number, _REFS[0], "0" * 64, 0) for number in range(1, 11)),
            return_exceptions=True,
        )
        assert all(isinstance(one, JournalError) for one in refused)
        await journal.database.write(lambda disk: disk.pragma("max_page_count", 1_000_000), within_s=5)
        await put(journal, 41, _REFS[0], "0" * 64, 0)
        assert [row.event_id for row in await journal.page(0)] == [push(41).id]
