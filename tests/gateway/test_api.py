"""The API over real HTTP, on a journal and a state on disk."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bellpull.contract.text import MessageId, Name
from bellpull.contract.word import Word
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import serve
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.state import SqliteState, open_state
from gateway.app.api import api_routes
from gateway.app.enrolment import Enrolment, Enrolments
from gateway.app.refusals import Refusals
from gateway.core.answer import Announcement
from gateway.core.rejections import Refusal
from tests.gateway.agents import record
from tests.gateway.examples import GITHUB, T0, WEB, commit, heartbeat, push, report, seconds, sync_state


class Api:
    """The API with its parts."""

    def __init__(self, journal: SqliteJournal, state: SqliteState) -> None:
        self.journal = journal
        self.state = state
        self.records: dict[Name, Enrolment] = {WEB: record("github.com/acme/*")}
        self.refusals = Refusals()
        self.url = ""

    async def push(self, number: int, **options: Any) -> MessageId:
        message = push(number, **options)
        digest = f"{number:064}"
        await self.journal.accept([message], source=GITHUB, delivery=f"d{number}", body_digest=digest, now=utc_now())
        return message.id

    async def hear(self, number: int) -> MessageId:
        """Hear from another gateway that it accepted a push."""
        message = push(number)
        await self.state.put_announcement(
            Announcement(
                seq=None,
                event_id=message.id,
                repository="github.com/acme/site",
                ref="refs/heads/main",
                commit=commit(number),
                source=GITHUB,
                accepted=utc_now(),
            )
        )
        return message.id

    async def beat(self, seq: int, **options: Any) -> None:
        now = utc_now()
        await self.state.put_heartbeat(heartbeat(seq, **options), issued=now, received=now)

    async def say(self, seq: int, took: int, word: Word, *events: MessageId) -> None:
        now = utc_now()
        said = report(seq, took=took, word=word, events=events, at=now)
        await self.state.put_report(said, issued=now, received=now + seconds(0.001))

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v1/{path}") as response:
            return response.status, await response.json()

    async def words(self, number: int) -> list[tuple[str, str | None]]:
        """Return the words of the commit's newest announcement, and by which each is superseded."""
        status, body = await self.get(f"commits/{commit(number)}")
        assert status == 200
        return [(sync["word"], sync["superseded_by"]) for sync in body["announcements"][0]["syncs"]]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with (
        open_journal(tmp_path / "journal.db", utc_now()) as journal,
        open_state(tmp_path / "state.db", utc_now()) as state,
    ):
        made = Api(journal, state)
        app = web.Application()
        app.router.add_routes(api_routes(journal, state, lambda: Enrolments(made.records), made.refusals))
        async with serve(app, Address(host="127.0.0.1", port=0), name="console") as address:
            made.url = f"http://127.0.0.1:{address.port}"
            yield made


async def test_a_commits_way_from_announced_to_applied(api: Api) -> None:
    event = await api.push(1)
    assert await api.words(1) == [("unknown", None)]
    await api.beat(1, full=(sync_state(),))
    assert await api.words(1) == [("waiting", None)]
    await api.say(2, 1, Word.WORKING, event)
    assert await api.words(1) == [("working", None)]
    await api.say(3, 1, Word.APPLIED, event)
    status, body = await api.get(f"commits/{commit(1)}")
    assert status == 200
    assert body["commit"] == commit(1)
    [announcement] = body["announcements"]
    assert announcement["event"] == event
    assert announcement["repository"] == "github.com/acme/site"
    assert announcement["ref"] == "refs/heads/main"
    assert announcement["source"] == "github"
    [sync] = announcement["syncs"]
    assert (sync["agent"], sync["environment"], sync["sync"]) == (WEB, "production", "default/site")
    assert (sync["word"], sync["final"], sync["contained"]) == ("applied", True, None)
    assert sync["hops"]["started"] < sync["hops"]["finished"]


async def test_a_later_answer_closes_an_earlier_commit(api: Api) -> None:
    """R36, from the journal and the state on disk."""
    await api.beat(1, full=(sync_state(),))
    await api.push(1)
    second = await api.push(2)
    await api.say(2, 2, Word.APPLIED, second)
    assert await api.words(1) == [("superseded", commit(2))]
    assert await api.words(2) == [("applied", None)]


async def test_the_newest_announcement_comes_first(api: Api) -> None:
    """R34: A, B, A by force; the second A is not answered by the first one's word."""
    await api.beat(1, full=(sync_state(),))
    first = await api.push(1)
    await api.say(2, 1, Word.APPLIED, first)
    await api.push(2)
    await api.push(3, after=1)
    assert await api.words(1) == [("waiting", None)]
    _, body = await api.get(f"commits/{commit(1)}")
    assert [one["syncs"][0]["word"] for one in body["announcements"]] == ["waiting", "applied"]


async def test_only_agents_that_may_hear_of_it_are_expected(api: Api) -> None:
    await api.push(1)
    api.records[WEB] = record("github.com/other/*")
    assert await api.words(1) == []


async def test_a_commit_of_several_repositories_is_told_apart(api: Api) -> None:
    await api.push(1)
    await api.push(2, path="acme/fork", after=1)
    for repository in ("github.com/acme/fork", "https://GitHub.com/acme/fork.git", "git@github.com:acme/fork"):
        status, body = await api.get(f"commits/{commit(1)}?repository={repository}")
        assert status == 200
        assert [one["repository"] for one in body["announcements"]] == ["github.com/acme/fork"]
    assert len((await api.get(f"commits/{commit(1)}"))[1]["announcements"]) == 2


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        pytest.param(f"commits/{commit(9)}", 404, "never announced", id="a commit nobody announced"),
        pytest.param(
            f"commits/{commit(1)}?repository=github.com/acme/other", 404, "never announced", id="not of this one"
        ),
        pytest.param("commits/abc123", 400, "40 or 64", id="an abbreviated commit"),
        pytest.param("commits/main", 400, "40 or 64", id="a branch"),
        pytest.param(f"commits/{'0' * 40}", 400, "not all zero", id="no commit"),
        pytest.param(f"commits/{commit(1)}?repository=", 400, "clone URL", id="no repository"),
    ],
)
async def test_what_cannot_be_answered_says_why(api: Api, path: str, status: int, reason: str) -> None:
    """P11."""
    await api.push(1)
    found, body = await api.get(path)
    assert found == status
    assert reason in body["error"]


async def test_rejections_are_listed_newest_first_with_what_is_needed_to_mend_them(api: Api) -> None:
    """P11. A source that is not there is shown by the name that was asked for."""
    status, body = await api.get("rejections")
    assert (status, body) == (200, {"rejections": [], "older": 0})
    bad = Refusal(source="github", status=401, address="140.82.115.7", reason="no signature")
    for number in range(2):
        api.refusals.note(bad, "no", T0 + seconds(number))
    unknown = Refusal(source="", asked="githb", status=404, address="2001:db8::1", reason="no source has that name")
    api.refusals.note(unknown, "no", T0 + seconds(2))
    _, body = await api.get("rejections")
    assert body["rejections"] == [
        {
            "source": "githb",
            "address": "2001:db8::/64",
            "reason": "no source has that name",
            "status": 404,
            "count": 1,
            "first": "2026-03-01T12:00:02Z",
            "last": "2026-03-01T12:00:02Z",
        },
        {
            "source": "github",
            "address": "140.82.115.7",
            "reason": "no signature",
            "status": 401,
            "count": 2,
            "first": "2026-03-01T12:00:00Z",
            "last": "2026-03-01T12:00:01Z",
        },
    ]


async def test_no_more_than_two_hundred_rejections_are_shown(api: Api) -> None:
    for number in range(250):
        refusal = Refusal(source="github", status=401, address=f"192.0.2.{number}", reason="no signature")
        api.refusals.note(refusal, "no", T0 + seconds(number))
    _, body = await api.get("rejections")
    assert (len(body["rejections"]), body["older"]) == (200, 50)
    assert body["rejections"][0]["address"] == "192.0.2.249"


async def test_what_another_gateway_accepted_has_its_words_here(api: Api) -> None:
    """R22: whoever asks, and whichever gateway is asked."""
    event = await api.hear(1)
    await api.beat(1, full=(sync_state(),))
    assert await api.words(1) == [("waiting", None)]
    await api.say(2, 1, Word.APPLIED, event)
    assert await api.words(1) == [("applied", None)]


@pytest.mark.parametrize("ways", [("push", "hear"), ("hear", "push")])
async def test_a_later_push_closes_an_earlier_one_whichever_gateways_took_them(
    api: Api, ways: tuple[str, str]
) -> None:
    """R36."""
    await api.beat(1, full=(sync_state(),))
    take = {"push": api.push, "hear": api.hear}
    await take[ways[0]](1)
    event = await take[ways[1]](2)
    await api.say(2, 2, Word.APPLIED, event)
    assert await api.words(1) == [("superseded", commit(2))]
    assert await api.words(2) == [("applied", None)]


async def test_a_push_that_two_gateways_took_is_listed_once(api: Api) -> None:
    await api.hear(1)
    await api.push(1)
    _, body = await api.get(f"commits/{commit(1)}")
    assert len(body["announcements"]) == 1
