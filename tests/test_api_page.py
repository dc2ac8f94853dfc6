"""The page of HTTP paths and the program say the same: routes, answers, fields."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from bellpull.contract.text import Name
from bellpull.runtime import http
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import open_journal
from gateway.adapters.state import open_state
from gateway.app.agents import AgentsParts, agents_app
from gateway.app.api import api_routes
from gateway.app.console import console_app
from gateway.app.enrolment import Enrolments
from gateway.app.hooks import Hooks
from gateway.app.readiness import Readiness
from gateway.app.refusals import Refusals
from gateway.core.projection import Standing
from gateway.core.rejections import Refusal
from tests.console import section
from tests.gateway.agents import GATEWAY_KEY
from tests.gateway.examples import T0
from tests.gateway.github import SOURCE

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "api.md").read_text()
LISTENERS = ("hooks", "agents", "console")
TOLD_BY_THE_HANDLER = {"/hooks/{source}": "`POST`", "/{anything}": "any"}
"""Where any method comes to the handler, which refuses all but these."""


class Row(NamedTuple):
    methods: str
    path: str
    answers: tuple[int, ...]


def rows(listener: str) -> list[Row]:
    """Return the rows of a listener's table."""
    found = re.findall(
        r"^\| (`[A-Z`, ]+|any) \| `(.+)` \| .+ \| ([0-9, ]+) \|$", section(PAGE, listener), re.MULTILINE
    )
    return [Row(methods, path, tuple(map(int, answers.split(", ")))) for methods, path, answers in found]


@pytest.fixture
async def apps(tmp_path: Path) -> AsyncIterator[Mapping[str, web.Application]]:
    """The applications of the three listeners."""
    async with (
        open_journal(tmp_path / "journal.db", T0) as journal,
        open_state(tmp_path / "state.db", T0) as state,
    ):
        parts = AgentsParts(
            installation=Name("acme"),
            journal=journal,
            state=state,
            enrolments=lambda: Enrolments({}),
            signer=lambda: GATEWAY_KEY,
            metrics=(metrics := Metrics()),
        )
        refusals = Refusals()
        refusals.note(Refusal(source="github", status=401, address="192.0.2.1", reason="no signature"), "", utc_now())
        readiness = Readiness(journal=journal, data=tmp_path, stopping=lambda: False)
        routes = api_routes(journal, state, parts.enrolments, refusals)
        yield {
            "hooks": Hooks(lambda: {"{source}": SOURCE}, journal, metrics).app(),
            "agents": agents_app(parts),
            "console": console_app(readiness, metrics, routes),
        }


@pytest.mark.parametrize("listener", LISTENERS)
async def test_every_route_is_on_the_page_and_no_other(apps: Mapping[str, web.Application], listener: str) -> None:
    methods: dict[str, set[str]] = {}
    for route in apps[listener].router.routes():
        assert route.resource is not None
        methods.setdefault(route.resource.canonical, set()).add(route.method)
    registered = {
        (TOLD_BY_THE_HANDLER[path] if names == {"*"} else ", ".join(f"`{name}`" for name in sorted(names)), path)
        for path, names in methods.items()
    }
    assert registered == {(row.methods, row.path) for row in rows(listener)}


@pytest.mark.parametrize("listener", LISTENERS)
async def test_what_is_answered_to_who_knows_nothing_is_on_the_page(
    apps: Mapping[str, web.Application], listener: str
) -> None:
    """Neither token nor signature, on the path as it is written there."""
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(
            http.serve(apps[listener], Address(host="127.0.0.1", port=0), name="x")
        )
        session = await stack.enter_async_context(http.client())
        for row in rows(listener):
            methods = re.findall(r"[A-Z]+", row.methods) or ["GET", "POST", "DELETE"]
            for method in methods:
                async with session.request(method, f"http://{address}{row.path}") as response:
                    assert response.status in row.answers, row


def test_every_answer_of_the_hooks_listener_is_explained() -> None:
    explained = re.findall(r"^\| ([0-9]{3}) ?.*\|", section(PAGE, "hooks"), re.MULTILINE)
    assert {int(status) for status in explained} == {status for row in rows("hooks") for status in row.answers}


def described(title: str) -> list[str]:
    """Return the fields in the table below a heading of the console's section."""
    below = section(PAGE, "console").partition(f"### {title}\n")[2].partition("### ")[0]
    return re.findall(r"^\| `(\w+)` \|", below, re.MULTILINE)


async def test_the_fields_are_on_the_page(apps: Mapping[str, web.Application]) -> None:
    async with (
        http.serve(apps["console"], Address(host="127.0.0.1", port=0), name="console") as address,
        http.client() as session,
        session.get(f"http://{address}/api/v1/rejections") as response,
    ):
        [row] = (await response.json())["rejections"]
    assert described("Rejections") == list(row)
    assert described("A commit") == [field.name for field in fields(Standing)]
