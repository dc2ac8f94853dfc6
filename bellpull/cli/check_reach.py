"""Whether an agent's gateway can be reached, lets the agent in, and agrees with its files."""

import asyncio
from typing import Final

import aiohttp

from agent.adapters.access import reason
from agent.adapters.standing import read_standing
from bellpull.cli.check_cause import Cause, Peer, not_reached
from bellpull.cli.check_dial import http_peer, of_ca, of_error, speaks_tls
from bellpull.cli.check_standing import Files, differences
from bellpull.cli.finding import Finding, bad, good
from bellpull.contract.errors import ContractError
from bellpull.contract.standing import AGENT_PATH
from bellpull.contract.stream import EVENTS_PATH
from bellpull.runtime.clock import utc_now
from bellpull.runtime.config import SecretError, read_secret
from bellpull.runtime.http import client

__all__ = ["of_gateway"]

_TRY_S: Final = 10.0
_CONNECT_S: Final = 5.0


async def of_gateway(files: Files) -> list[Finding]:
    """Return whether the gateway can be reached and lets this agent in, and each thing that it says differently."""
    gateway = files.config.gateway
    if gateway.url is None or gateway.token is None:
        return []
    url = str(gateway.url).rstrip("/")
    if (problem := await of_ca("gateway.ca", gateway.ca)) is not None:
        return [problem]
    try:
        token = await asyncio.to_thread(read_secret, gateway.token, files.path.parent)
        headers = {"Authorization": f"Bearer {token.reveal().decode('latin-1')}"}
        async with client(ca=gateway.ca, total_s=_TRY_S, connect_s=_CONNECT_S) as session:
            return await _ask(session, url, headers, files)
    except SecretError:
        return [bad("gateway", "not asked, for want of the token", "see gateway.token above")]
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return [await of_error(_peer(url), error, url) or _unknown(url, error)]


def _peer(url: str) -> Peer:
    return http_peer(url, what="gateway", who="the gateway", setting="gateway.url", ca="gateway.ca")


def _unknown(url: str, error: Exception) -> Finding:
    return bad(
        "gateway", f"{url}: {reason(error)}", "name the gateway's `agents` listener, or what ends TLS before it"
    )


async def _ask(session: aiohttp.ClientSession, url: str, headers: dict[str, str], files: Files) -> list[Finding]:
    async with session.get(url + AGENT_PATH, headers=headers, allow_redirects=False) as response:
        if response.status == 200:
            return await _told(url, response, files)
        status = response.status
    if status == 400 and url.startswith("http://") and await asyncio.to_thread(speaks_tls, _peer(url)):
        return [not_reached(_peer(url), Cause.ONLY_TLS)]
    if status != 404:
        return [_refused(url, status, files)]
    async with session.get(url + EVENTS_PATH, headers=headers, allow_redirects=False) as response:
        if response.status == 200:
            return [_older(url)]
        return [_refused(url, response.status, files)]


async def _told(url: str, response: aiohttp.ClientResponse, files: Files) -> list[Finding]:
    try:
        standing = await read_standing(response)
    except ContractError as error:
        found = f"{url}: what came is no answer of a gateway: {error}"
        return [bad("gateway", found, "name the gateway's `agents` listener")]
    return [good("gateway", f"{url} lets {standing.agent} in"), *differences(files, standing, utc_now())]


def _older(url: str) -> Finding:
    found = f"{url} accepts the token; it has no {AGENT_PATH}, so its records were not compared"
    return good("gateway", found, "it is of an older version: update it, and check again")


def _refused(url: str, status: int, files: Files) -> Finding:
    match status:
        case 401:
            advice = f"is {files.record} there, with the hash of this token ({files.config.gateway.token})?"
            return bad("gateway", f"{url} does not accept the token (401)", advice)
        case 407:
            return not_reached(_peer(url), Cause.PROXY_LOGIN)
        case 403:
            advice = "a gateway says 401: see the rules of the proxy or firewall between"
            return bad("gateway", f"{url} is kept from this machine by what is before it ({status})", advice)
        case 404 | 405:
            return bad("gateway", f"{url} has no {EVENTS_PATH}", "name the gateway's `agents` listener")
        case _:
            return bad("gateway", f"{url} answered {status}", "see the log of the gateway, or of the proxy before it")
