"""The listener for agents: the stream of events one way, their reports the other, and how each of them stands."""

from aiohttp import web

from bellpull.contract.message import MAX_BYTES
from bellpull.contract.standing import AGENT_PATH
from bellpull.contract.stream import EVENTS_PATH, REPORTS_PATH
from gateway.app.admission import AgentsParts
from gateway.app.reports import Reports
from gateway.app.standing import Standings
from gateway.app.streams import Streams

__all__ = ["AgentsParts", "agents_app"]


def agents_app(parts: AgentsParts) -> web.Application:
    """Return the application; its streams end when it is shut down."""
    streams = Streams(parts)
    reports = Reports(parts)
    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_get(EVENTS_PATH, streams.serve, allow_head=False)
    app.router.add_post(REPORTS_PATH, reports.take)
    app.router.add_get(AGENT_PATH, Standings(parts).tell, allow_head=False)
    app.on_shutdown.append(streams.end)
    return app
