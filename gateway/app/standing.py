"""What an agent is told of how it stands here: its record, and the keys in use, of which nothing is secret."""

from aiohttp import hdrs, web

from bellpull.contract.standing import Standing
from gateway.app.admission import AgentsParts, admitted, unauthorized

__all__ = ["Standings"]


class Standings:
    """Tells them."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts

    async def tell(self, request: web.Request) -> web.Response:
        """Answer one agent."""
        record = admitted(request, self._parts.enrolments())
        if record is None:
            return unauthorized(request, self._parts, "standing refused")
        standing = Standing(
            agent=record.agent,
            installation=self._parts.installation,
            seal=self._parts.signer().kid,
            keys=tuple(record.pinned),
            environments=record.environments,
            repositories=record.repositories,
        )
        headers = {hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=standing.encode(), content_type="application/json", headers=headers)
