"""What `bellpull check` looks at for an agent. Changes nothing, shows no secret."""

import asyncio
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
from aiohttp import hdrs

from agent.adapters.git import Mirrors
from agent.app.config import AgentConfig, load_config
from agent.app.sync_files import load_sync_files
from agent.spec import Sync
from bellpull.cli.check_git import of_source
from bellpull.cli.finding import Finding, bad, good, of_config, of_folder, of_secret
from bellpull.contract.stream import EVENTS_PATH
from bellpull.runtime.config import ConfigError, SecretError, read_secret
from bellpull.runtime.http import client
from bellpull.runtime.jose import load_pinned, load_private

__all__ = ["look"]

_TRY_S: Final = 10.0


def look(path: Path) -> list[Finding]:
    """Return what is found of the agent whose configuration is at `path`."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return of_config(error)
    folder = path.parent
    syncs, found = _syncs(config.syncs)
    return [
        good(str(path)),
        of_secret("gateway.token", config.gateway.token, folder),
        of_secret("gateway.keys", config.gateway.keys, folder, load_pinned, secret=False),
        of_secret("report_key", config.report_key, folder, load_private),
        of_folder("state", config.state),
        *found,
        *(_target(sync) for sync in syncs),
        *asyncio.run(_reach(config, folder, syncs)),
    ]


def _syncs(path: Path) -> tuple[tuple[Sync, ...], list[Finding]]:
    try:
        syncs = load_sync_files(path)
    except ConfigError as error:
        return (), of_config(error)
    except OSError as error:
        return (), [bad("syncs", f"{path}: {error.strerror}", "put it there, readable by the user the agent runs as")]
    return syncs, [good("syncs", f"{len(syncs)} in {path}")]


def _target(sync: Sync) -> Finding:
    path = sync.spec.target.directory.path
    what = f"{sync.name} target"
    if path.is_dir() and not path.is_symlink() and not sync.spec.target.directory.adopt:
        return bad(what, f"{path} is a folder, not the agent's link", "move it away, or say adopt: true")
    if not path.parent.is_dir():
        return bad(what, f"{path.parent} is no folder", "make it: the agent makes only what is in it")
    found = of_folder(what, path.parent)
    return good(what, str(path)) if found.ok else found


async def _reach(config: AgentConfig, folder: Path, syncs: tuple[Sync, ...]) -> list[Finding]:
    """Look at everything across the network at once: a dead address costs its time-out only once."""
    with TemporaryDirectory(prefix="bellpull-check-") as mirrors:
        async with Mirrors(Path(mirrors), ca=config.git.ca) as git, asyncio.TaskGroup() as tasks:
            gateway = tasks.create_task(_gateway(config, folder))
            sources = [tasks.create_task(of_source(git, config, sync)) for sync in syncs]
    return [gateway.result(), *(source.result() for source in sources)]


async def _gateway(config: AgentConfig, folder: Path) -> Finding:
    url = str(config.gateway.url).rstrip("/")
    try:
        token = await asyncio.to_thread(read_secret, config.gateway.token, folder)
        authorization = f"Bearer {token.reveal().decode('latin-1')}"
        async with (
            client(ca=config.gateway.ca, total_s=_TRY_S) as session,
            session.get(
                url + EVENTS_PATH, headers={hdrs.AUTHORIZATION: authorization}, allow_redirects=False
            ) as response,
        ):
            return _answered(url, response.status)
    except SecretError:
        return bad("gateway", "not asked, for want of the token", "see gateway.token above")
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
        return bad("gateway", f"{url}: its certificate is not trusted", "name its authority as gateway.ca")
    except (aiohttp.ClientSSLError, ssl.SSLError):
        return bad(
            "gateway", f"{url}: it does not speak TLS", "write http://, or name the proxy that ends TLS before it"
        )
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        why = str(error) or f"no answer within {_TRY_S:g} s"
        return bad("gateway", f"{url}: {why}", "is it running, is the URL right, is a firewall or proxy between?")


def _answered(url: str, status: int) -> Finding:
    match status:
        case 200:
            return good("gateway", f"{url} accepts the token")
        case 401 | 403:
            return bad("gateway", f"{url} does not accept the token", "is its record in the gateway's folder?")
        case 404 | 405:
            return bad("gateway", f"{url} has no {EVENTS_PATH}", "name the gateway's `agents` listener")
        case _:
            return bad("gateway", f"{url} answered {status}", "see the gateway's log")
