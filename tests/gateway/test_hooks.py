import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
import apsw
import orjson
import pytest

from bellpull.contract.message import Message, decode
from bellpull.runtime.address import Address
from bellpull.runtime.http import serve
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.secret import Secret
from gateway.adapters.append import Appended, Event, append
from gateway.adapters.journal import open_journal
from gateway.adapters.life import Append
from gateway.app.hooks import Hooks
from gateway.app.intake import MAX_BODY
from tests.gateway.github import NOW, SECRET, SOURCE, signature
from tests.gateway.listening import BODY, Listener, listener


async def test_a_signed_push_is_in_the_journal_before_it_is_answered(tmp_path: Path) -> None:
    """P1: 202 means on disk."""
    async with listener(tmp_path) as hooks:
        status, answer = await hooks.post()
        rows = await hooks.journal.page(0)

    assert status == 202
    assert [row.event_id for row in rows] == orjson.loads(answer)["events"]
    assert isinstance(decode(rows[0].body), Message)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, 401),
        ({"X-Hub-Signature-256": "sha256=é"}, 401),
        ({"X-Hub-Signature-256": ""}, 401),
        ({"Content-Type": "text/xml"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"X-GitHub-Event": "ping"}, 200),
    ],
)
async def test_what_is_refused_or_ignored_leaves_nothing_behind(
    tmp_path: Path, changes: dict[str, str], status: int
) -> None:
    async with listener(tmp_path) as hooks:
        answered, _ = await hooks.post(changes=changes)
        newest = hooks.journal.newest()

    assert (answered, newest) == (status, 0)


async def test_a_bad_signature_is_always_told_the_same(tmp_path: Path) -> None:
    """The answer says nothing of what was wrong, nor of what is configured."""
    async with listener(tmp_path) as hooks:
        answers = {
            await hooks.post(changes={"X-Hub-Signature-256": value})
            for value in ("", "sha256=", "sha256=" + "0" * 64, signature(BODY, b"guess").decode(), "nonsense")
        }

    assert answers == {(401, b'{"error":"the signature was not accepted"}')}


async def test_an_unknown_source_is_not_found_before_anything_is_read(tmp_path: Path) -> None:
    """A body that never comes keeps nobody waiting."""
    async with listener(tmp_path) as hooks:
        reader, writer = await asyncio.open_connection(*hooks.url.removeprefix("http://").split(":"))
        writer.write(b"POST /hooks/other HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_taken(tmp_path: Path, method: str) -> None:
    async with listener(tmp_path) as hooks, hooks.session.request(method, f"{hooks.url}/hooks/github") as response:
        assert response.status == 405


async def test_a_body_beyond_the_limit_is_cut_while_it_comes(tmp_path: Path) -> None:
    """Counted while reading, so that a sender without a length cannot fill the memory."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2 * MAX_BODY // 1_000_000):
            yield b"x" * 1_000_000

    async with listener(tmp_path) as hooks:
        fields = {"Content-Type": "application/json"}
        async with hooks.session.post(f"{hooks.url}/hooks/github", data=endless(), headers=fields) as response:
            assert response.status == 413
        declared, _ = await hooks.post(b"x" * (MAX_BODY + 1))

    assert declared == 413


def full_at_first() -> Append:
    """Return what appends, on a disk that is full until that was noticed: then the upkeep has its way."""
    full = [True]

    def write(disk: apsw.Connection, deliveries: Sequence[Sequence[Event]]) -> list[Appended]:
        if full:
            disk.pragma("max_page_count", 1)
        try:
            return append(disk, deliveries)
        except apsw.FullError:
            full.clear()
            raise

    return write


async def test_a_journal_that_cannot_write_is_503_and_come_again(tmp_path: Path) -> None:
    """Never a 2xx for what is not on disk, and never another 5xx; what is oldest makes room for what comes (R4)."""
    async with listener(tmp_path) as hooks:
        hooks.journal._append = full_at_first()
        each = [{"X-GitHub-Delivery": f"d{number}"} for number in range(40)]
        answers = await asyncio.gather(*(hooks.post(changes=changes) for changes in each))
        newest = hooks.journal.newest()

    stored = [status for status, _ in answers if status == 202]
    refused = {answer for answer in answers if answer[0] != 202}
    assert refused == {(503, b'{"error":"the journal cannot write now, come again"}')}
    assert newest == len(stored)


def everything_in(folder: Path) -> str:
    return b"".join(path.read_bytes() for path in folder.iterdir()).decode("latin-1")


async def test_every_delivery_is_one_line_without_body_or_secrets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Headers beyond the delivery's id and event are nobody's business: some carry secrets (S15)."""
    secrets = {
        "X-Github-Encoded-Secret": "c2VjcmV0LWluLWJhc2U2NA",
        "Authorization": "Basic dXNlcjpwYXNz",
        "X-Gitlab-Token": "glpat-1",
    }
    async with listener(tmp_path) as hooks:
        await hooks.post(changes=secrets)
        await hooks.post(changes=secrets | {"X-Hub-Signature-256": "sha256=" + "0" * 64})
        await hooks.post(b"{not json", secrets)
        metrics = hooks.metrics.render()[0].decode()
    logged = capfd.readouterr().err
    kept = everything_in(tmp_path)

    for value in (*secrets.values(), SECRET.decode(), signature(BODY).decode(), "Say hello", "example.org"):
        assert value not in logged
        assert value not in kept
        assert value not in metrics
    assert 'bellpull_deliveries_total{outcome="rejected",source="github",status="401"} 1.0' in metrics


async def test_bodies_that_come_slowly_do_not_hold_up_others(tmp_path: Path) -> None:
    """A sender that stalls costs its own connection only."""
    async with listener(tmp_path) as hooks:
        host, port = hooks.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        async with asyncio.timeout(5):
            status, _ = await hooks.post()
        writer.close()

    assert status == 202


async def test_secrets_are_those_of_the_moment(tmp_path: Path) -> None:
    """A rotated secret counts from the next delivery on."""
    sources = {"github": SOURCE}
    async with open_journal(tmp_path / "journal.db", NOW) as journal, aiohttp.ClientSession() as session:
        hooks = Hooks(lambda: sources, journal, Metrics())
        async with serve(hooks.app(), Address(host="127.0.0.1", port=0), name="hooks") as bound:
            made = Listener(url=f"http://{bound}", session=session, journal=journal, metrics=Metrics())
            before, _ = await made.post()
            sources["github"] = replace(SOURCE, secrets=(Secret(b"the next one"),))
            after, _ = await made.post()

    assert (before, after) == (202, 401)
