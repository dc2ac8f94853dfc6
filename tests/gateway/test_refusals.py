"""Refused deliveries over real HTTP: listed, counted, logged sparingly, and never in the way of a push (R40)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from bellpull.runtime.clock import utc_now
from gateway.adapters.state import SqliteState, open_state
from gateway.app.intake import Bounds, Intake
from gateway.app.refusals import Refusals
from gateway.core.failures import BURST
from gateway.core.rejections import KEEP, Refusal
from tests.gateway.examples import T0, seconds
from tests.gateway.listening import BODY, Listener, listener

FORGED = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
BAD = Refusal(source="github", status=401, address="192.0.2.1", reason="the signature fits none")


def shown(refusals: Refusals) -> list[tuple[str, int, str, str, int]]:
    rows, _ = refusals.newest(100)
    return [(row.source or row.asked, row.status, row.address, row.reason, row.count) for row in rows]


async def ask(hooks: Listener, path: str, method: str = "POST") -> int:
    async with hooks.session.request(method, hooks.url + path, headers={"X-Forwarded-For": "192.0.2.9"}) as response:
        return response.status


async def test_every_refusal_is_listed_with_its_reason(tmp_path: Path) -> None:
    """P11, R40: also those before the body. The address is the socket's, not what a header says."""
    async with listener(tmp_path, Intake(Bounds(size=len(BODY)))) as hooks:
        answered = [
            (await hooks.post(changes=FORGED))[0],
            (await hooks.post(changes={"Content-Type": "text/xml"}))[0],
            (await hooks.post(changes={"Content-Encoding": "gzip"}))[0],
            (await hooks.post(BODY + b" "))[0],
            (await hooks.post(b'{"ref": 1}'))[0],
            await ask(hooks, "/hooks/github", "GET"),
            await ask(hooks, "/hooks/git%0Ahub"),
            await ask(hooks, "/wp-admin?secret=1"),
        ]
        accepted, _ = await hooks.post()
    content_types = "application/json, application/x-www-form-urlencoded"
    assert shown(hooks.refusals) == [
        ("", 404, "127.0.0.1", "nothing is at that path", 1),
        (r"git\u{a}hub", 404, "127.0.0.1", "no source has that name", 1),
        ("github", 405, "127.0.0.1", "only POST is taken here", 1),
        ("github", 400, "127.0.0.1", "ref is not a string", 1),
        ("github", 413, "127.0.0.1", f"the body is larger than {len(BODY)} bytes", 1),
        ("github", 415, "127.0.0.1", "a content encoding is not taken", 1),
        ("github", 415, "127.0.0.1", f"the content type is none of {content_types}", 1),
        ("github", 401, "127.0.0.1", "the signature fits none of the source's secrets", 1),
    ]
    assert answered == [status for _, status, *_ in reversed(shown(hooks.refusals))]
    assert accepted == 202


async def test_too_many_failed_checks_are_told_to_come_later_and_a_push_passes_all_the_same(tmp_path: Path) -> None:
    """R40: nothing is refused by address before its signature was checked: not the 202, not the reason of a 415."""
    async with listener(tmp_path) as hooks:
        answers = [await hooks.post(changes=FORGED) for _ in range(BURST + 20)]
        unknown = await ask(hooks, "/hooks/other")
        kind, _ = await hooks.post(changes={"Content-Type": "text/xml"})
        pushed, _ = await hooks.post()
        metrics = hooks.metrics.render()[0].decode()
    statuses = [status for status, _ in answers]
    assert statuses[:BURST] == [401] * BURST
    assert set(statuses[BURST:]) <= {401, 429}
    assert statuses.count(429) >= 10
    assert {answer for status, answer in answers if status == 429} == {
        b'{"error":"too many requests were refused here, come again later"}'
    }
    assert (unknown, kind, pushed) == (429, 415, 202)
    assert f'{{outcome="rejected",source="github",status="429"}} {statuses.count(429)}.0' in metrics
    assert [row for row in shown(hooks.refusals) if row[1] == 401] == [
        ("github", 401, "127.0.0.1", "the signature fits none of the source's secrets", len(statuses))
    ]


async def test_who_is_told_to_come_later_is_told_when(tmp_path: Path) -> None:
    async with listener(tmp_path) as hooks:
        for _ in range(BURST + 5):
            await ask(hooks, "/hooks/other")
        async with hooks.session.post(hooks.url + "/hooks/other") as response:
            assert (response.status, response.headers.get("Retry-After")) == (429, "1")


async def test_a_flood_is_a_few_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """R40, S5: one for each reason; what is accepted is logged as ever."""
    async with listener(tmp_path) as hooks:
        for number in range(300):
            await hooks.post(changes=FORGED)
            if number % 100 == 0:
                assert (await hooks.post())[0] == 202
        for name in ("a", "b", "c"):
            await ask(hooks, f"/hooks/{name}")
            await ask(hooks, f"/{name}.php")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["outcome"], line["status"]) for line in lines] == [("rejected", 401), ("rejected", 429)]
    assert lines[1]["asked"] == "a"


async def test_names_and_paths_that_strangers_invent_are_no_labels(tmp_path: Path) -> None:
    async with listener(tmp_path) as hooks:
        for number in range(50):
            assert await ask(hooks, f"/hooks/invented-{number}") == 404
        metrics = hooks.metrics.render()[0].decode()
    assert "invented" not in metrics
    assert '{outcome="rejected",source="",status="404"} 50.0' in metrics


@asynccontextmanager
async def kept(path: Path) -> AsyncIterator[tuple[SqliteState, Refusals]]:
    async with open_state(path / "state.db", T0) as state, Refusals.open(state) as refusals:
        yield state, refusals


async def test_the_list_is_there_after_a_restart(tmp_path: Path) -> None:
    now = utc_now()
    async with kept(tmp_path) as (_, refusals):
        refusals.note(BAD, "no", now - seconds(5))
        refusals.note(BAD, "no", now)
        before = refusals.newest(10)
    async with kept(tmp_path) as (_, refusals):
        assert refusals.newest(10) == before
        refusals.note(BAD, "no", now + seconds(1))
        [row], more = refusals.newest(10)
    assert (row.count, row.first, row.last, more) == (3, now - seconds(5), now + seconds(1), 0)


async def test_rows_that_went_are_gone_from_the_disk(tmp_path: Path) -> None:
    async with kept(tmp_path) as (state, refusals):
        refusals.note(BAD, "no", T0)
        await refusals.keep(state, T0)
        assert len(await state.rejections()) == 1
        await refusals.keep(state, T0 + KEEP + seconds(1))
        assert await state.rejections() == ()


async def test_a_state_that_cannot_be_written_costs_no_answer_and_no_row(tmp_path: Path) -> None:
    """P1, P11: pushes are taken, refusals answered and listed; what could not be written is written later."""
    file = tmp_path / "state.db"
    async with open_state(file, T0) as state, listener(tmp_path) as hooks:
        with closing(apsw.Connection(str(file))) as disk:
            disk.execute("CREATE TRIGGER no BEFORE INSERT ON rejections BEGIN SELECT RAISE(FAIL, 'no room'); END")
        for _ in range(2):
            assert (await hooks.post(changes=FORGED))[0] == 401
            await hooks.refusals.keep(state, utc_now())
            assert (await hooks.post())[0] == 202
        assert await state.rejections() == ()
        with closing(apsw.Connection(str(file))) as disk:
            disk.execute("DROP TRIGGER no")
        await hooks.refusals.keep(state, utc_now())
        [row] = await state.rejections()
        assert hooks.refusals.newest(10) == ([row], 0)
        assert row.count == 2


def test_at_most_so_many_are_shown_and_the_rest_is_counted() -> None:
    refusals = Refusals()
    for number in range(5):
        refusals.note(replace(BAD, address=f"192.0.2.{number}"), "no", T0 + seconds(number))
    rows, more = refusals.newest(3)
    assert ([row.address for row in rows], more) == (["192.0.2.4", "192.0.2.3", "192.0.2.2"], 2)
