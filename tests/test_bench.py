"""What the figures are made with; the figures themselves are `make bench`."""

import asyncio

import pytest
from aiohttp import web

from gateway.core.providers import PROVIDERS
from gateway.core.receive import Accepted, receive
from gateway.core.request import Headers, Request
from tests.bench.figure import Figure, Ratio, Section, percentile
from tests.bench.load import CONNECTIONS, generate
from tests.bench.page import page
from tests.bench.pushes import request
from tests.gateway.github import NOW, SOURCE


@pytest.mark.parametrize(("percent", "value"), [(50, 2), (75, 3), (99, 4), (100, 4), (1, 1)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert percentile([4, 1, 3, 2], percent) == value


@pytest.mark.parametrize("number", [0, 1, 63, 64])
def test_a_delivery_of_the_load_is_accepted_and_has_the_size_of_real_ones(number: int) -> None:
    head, _, body = request(number, "a").partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    assert first == b"POST /hooks/github HTTP/1.1"
    headers = Headers(tuple((key, value) for key, _, value in (field.partition(b": ") for field in fields)))
    assert headers.one(b"content-length") == b"%d" % len(body)
    assert 7_000 <= len(body) <= 8_000
    assert PROVIDERS["github"].delivery_id(headers) == f"a-{number:012d}"
    assert isinstance(receive(Request(headers=headers, body=body, received=NOW), SOURCE, NOW), Accepted)


async def test_the_load_generator_counts_answers_and_names_what_was_refused() -> None:
    ids: list[str] = []

    async def answer(asked: web.Request) -> web.Response:
        ids.append(asked.headers["X-GitHub-Delivery"])
        return web.Response(status=503 if len(ids) == 1 else 202)

    app = web.Application()
    app.router.add_post("/hooks/github", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with asyncio.timeout(20):
            seen = await generate("127.0.0.1", runner.addresses[0][1], warm_up_s=0.1, measured_s=0.4)
    finally:
        await runner.cleanup()
    assert seen.refused == (503,)
    assert len(set(ids)) == len(ids) >= CONNECTIONS
    assert 0 < seen.rate * 0.4 <= len(ids)
    assert 0 < seen.p50_ms <= seen.p99_ms


def test_what_is_beyond_its_budget_is_bold() -> None:
    ratios = (
        Ratio(name="rate", value=0.2, budget=0.25, at_least=True),
        Ratio(name="p99", value=4.0, budget=5.0),
        Ratio(name="above", value=50.0, unit="MiB", budget=45.0),
        Ratio(name="p50", value=9.0),
    )
    figure = Figure(subject="the subject", floor="the floor", seen="seen", ratios=ratios)
    assert page([Section(title="A title", how="So.", figures=(figure,))]).splitlines()[-1] == (
        "| the subject | the floor | seen | **rate 0.20 x**, p99 4.00 x, **above 50 MiB**, p50 9.00 x "
        "| rate at least 0.25 x, p99 at most 5 x, above at most 45 MiB |"
    )
