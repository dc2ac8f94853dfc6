"""What the listener for agents works with, and who is let in.

An agent is known by its bearer token alone, looked up by the name in it and compared by hash (R17). What it may hear
and say is its record's to tell; this only says which record that is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from bellpull.contract.text import Name
from bellpull.runtime.http import remote, vouch
from bellpull.runtime.jose import Ed25519Signer
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.origin import origin
from bellpull.runtime.sparing import SparingLog
from gateway.app.enrolment import Enrolment, Enrolments
from gateway.app.notices import Notices
from gateway.ports.journal import Journal
from gateway.ports.state import State

__all__ = ["AgentsParts", "admitted", "refusal", "unauthorized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsParts:
    """What the listener works with.

    Attributes:
        installation: the audience of every seal.
        journal: what is told.
        state: where reports go.
        enrolments: the records as of now.
        signer: the installation's sealing key as of now.
        metrics: where it is counted who listens.
        refused: where it is logged who is not let in, and what of agents is not taken.
        notices: where observers are told of it.
    """

    installation: Name
    journal: Journal
    state: State
    enrolments: Callable[[], Enrolments]
    signer: Callable[[], Ed25519Signer]
    metrics: Metrics
    refused: SparingLog = field(default_factory=lambda: SparingLog(logger("gateway.agents")))
    notices: Notices = field(default_factory=Notices)


def admitted(request: web.Request, enrolments: Enrolments) -> Enrolment | None:
    """Return the record of the agent whose token the request has."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    record = enrolments.by_token(token.strip().encode("utf-8", "surrogateescape"))
    if record is not None:
        vouch(request)
    return record


def unauthorized(request: web.Request, parts: AgentsParts, what: str) -> web.Response:
    """Return the answer to whoever is not let in, the same for every reason, and log sparingly `what` was refused."""
    address = remote(request)
    parts.refused.note(what, origin(address), reason="token", remote=address)
    challenge = {hdrs.WWW_AUTHENTICATE: "Bearer"}
    return web.json_response({"error": "the token is missing or not known"}, status=401, headers=challenge)


def refusal(status: int, reason: str, *, again_s: int = 1) -> web.Response:
    """Return the answer to an agent whose message is not taken."""
    headers = {hdrs.RETRY_AFTER: str(again_s)} if status in (429, 503) else None
    return web.json_response({"error": reason}, status=status, headers=headers)
