"""The API: what became of a commit, and what was refused. Reading changes nothing.

`GET /api/v1/commits/{sha}[?repository=HOST/PATH]` lists where the commit was announced as a ref's tip, newest
first, and for each the word of every Sync that is expected to answer. `GET /api/v1/rejections` lists the refused
deliveries, newest first.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from aiohttp import web

from bellpull.contract.errors import ContractError
from bellpull.contract.repository import Repository
from bellpull.contract.text import CommitId, Name, text
from bellpull.runtime.clock import utc_now
from gateway.app.announcements import Announcements
from gateway.app.enrolment import Enrolments
from gateway.app.refusals import Refusals
from gateway.core.answer import Announcement
from gateway.core.audience import may_hear
from gateway.core.projection import AgentView, standings
from gateway.core.rejections import Rejection
from gateway.ports.journal import Journal
from gateway.ports.state import LastHeard, State

__all__ = ["api_routes"]

_SHOWN: Final = 200
"""Rejections in one answer."""


def api_routes(
    journal: Journal, state: State, enrolments: Callable[[], Enrolments], refusals: Refusals
) -> list[web.RouteDef]:
    """Return the routes, for the console's application."""

    async def rejections(_: web.Request) -> web.Response:
        """Answer with the deliveries that were refused last."""
        rows, more = refusals.newest(_SHOWN)
        return _json({"rejections": [_rejection(row) for row in rows], "older": more}, 200)

    api = _Api(journal, state, enrolments)
    return [
        web.get("/api/v1/commits/{sha}", api.commit),
        web.get("/api/v1/rejections", rejections),
    ]


class _Api:
    def __init__(self, journal: Journal, state: State, enrolments: Callable[[], Enrolments]) -> None:
        self._announcements = Announcements(journal, state)
        self._state = state
        self._enrolments = enrolments

    async def commit(self, request: web.Request) -> web.Response:
        """Answer with every Sync's word for a commit."""
        try:
            commit = text(CommitId, request.match_info["sha"].lower(), "commit")
            key = _key(request.query.get("repository"))
        except ContractError as error:
            return _json({"error": str(error)}, 400)
        found = await self._announcements.of(commit)
        wanted = [one for one in reversed(found) if key is None or one.repository == key]
        if not wanted:
            return _json({"error": _never(commit, key)}, 404)
        agents, now = await self._state.agents(), utc_now()
        announcements = [await self._announcement(one, agents, now) for one in wanted]
        return _json({"commit": commit, "announcements": announcements}, 200)

    async def _announcement(
        self, announcement: Announcement, agents: Mapping[Name, LastHeard], now: datetime
    ) -> dict[str, Any]:
        repository, ref = announcement.repository, announcement.ref
        syncs = standings(
            announcement,
            later=await self._announcements.later(announcement),
            agents=_views(self._enrolments(), agents, repository),
            answers=await self._state.answers(repository, ref, announcement.accepted),
            now=now,
        )
        return {
            "event": announcement.event_id,
            "repository": repository,
            "ref": ref,
            "source": announcement.source,
            "accepted": announcement.accepted,
            "syncs": syncs,
        }


def _rejection(row: Rejection) -> dict[str, Any]:
    return {
        "source": row.source or row.asked,
        "address": row.address,
        "reason": row.reason,
        "status": row.status,
        "count": row.count,
        "first": row.first,
        "last": row.last,
    }


def _views(enrolments: Enrolments, agents: Mapping[Name, LastHeard], repository: str) -> list[AgentView]:
    """Return the enrolled agents that may hear of `repository`, as they were heard last."""
    views = []
    for record in enrolments.records.values():
        if not may_hear(record.repositories, repository):
            continue
        last = agents.get(record.agent)
        only = record.environments[0] if len(record.environments) == 1 else None
        views.append(
            AgentView(agent=record.agent, environment=only)
            if last is None
            else AgentView(
                agent=record.agent,
                environment=last.environment,
                heard=last.heard,
                syncs=last.syncs,
                full=last.full,
            )
        )
    return views


def _key(repository: str | None) -> str | None:
    """Return the key of a repository given as HOST/PATH or as a clone URL."""
    if repository is None:
        return None
    is_url = "://" in repository or "@" in repository
    return Repository.from_url(repository if is_url else f"https://{repository}").key


def _never(commit: CommitId, key: str | None) -> str:
    where = f" of {key}" if key else ""
    return f"commit {commit}{where} was never announced here: is the webhook there, and was it pushed as a ref's tip?"


def _json(value: dict[str, Any], status: int) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
