"""The listener for operators."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bellpull.runtime.address import Address
from bellpull.runtime.http import serve
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.app.console import console_app
from gateway.app.readiness import Readiness
from tests.gateway.examples import T0


@asynccontextmanager
async def console(folder: Path, *, stopping: bool = False) -> AsyncIterator[tuple[str, SqliteJournal]]:
    async def extra(_: web.Request) -> web.Response:
        return web.Response(text="extra")

    metrics = Metrics()
    metrics.counter("bellpull_rings", "Rings.").inc()
    async with open_journal(folder / "journal.db", T0) as journal:
        readiness = Readiness(journal=journal, data=folder, stopping=lambda: stopping)
        app = console_app(readiness, metrics, [web.get("/api/v1/extra", extra)])
        async with serve(app, Address(host="127.0.0.1", port=0), name="console") as address:
            yield f"http://{address}", journal


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_it_shows_health_metrics_and_the_api(tmp_path: Path) -> None:
    async with console(tmp_path) as (url, _):
        assert await get(f"{url}/healthz") == (200, "ok\n")
        assert await get(f"{url}/readyz") == (200, '{"state":"ready"}')
        assert (await get(f"{url}/metrics"))[1].count("bellpull_rings_total 1.0") == 1
        assert await get(f"{url}/api/v1/extra") == (200, "extra")
        assert (await get(f"{url}/hooks/github"))[0] == 404


async def test_a_gateway_on_its_way_out_is_healthy_and_not_ready(tmp_path: Path) -> None:
    async with console(tmp_path, stopping=True) as (url, _):
        assert await get(f"{url}/readyz") == (503, '{"state":"stopping"}')
        assert (await get(f"{url}/healthz"))[0] == 200


async def test_a_journal_that_cannot_write_is_not_ready(tmp_path: Path) -> None:
    async with console(tmp_path) as (url, journal):
        await journal.database.write(lambda disk: disk.execute("PRAGMA query_only = 1"), within_s=5)
        assert await get(f"{url}/readyz") == (
            503,
            '{"state":"degraded","problems":["the journal cannot write"]}',
        )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_here_changes_anything(tmp_path: Path, method: str) -> None:
    async with console(tmp_path) as (url, _), aiohttp.ClientSession() as session:
        for path in ("healthz", "readyz", "metrics", "api/v1/extra"):
            async with session.request(method, f"{url}/{path}") as response:
                assert response.status == 405
