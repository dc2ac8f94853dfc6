"""What `bellpull check` looks at for a gateway. Changes nothing, shows no secret."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from bellpull.cli.check_broker import of_broker
from bellpull.cli.check_tls import fingerprint, of_tls
from bellpull.cli.finding import Finding, bad, good, of_config, of_folder, of_secret
from bellpull.runtime import open_files
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.config import ConfigError, SecretRef, load, read_secret
from bellpull.runtime.files import locked
from bellpull.runtime.http import client
from bellpull.runtime.jose import load_private
from bellpull.runtime.tls import TlsError
from gateway.adapters.place import unsafe_place
from gateway.app.config import GatewayConfig, load_config
from gateway.app.enrolment import Enrolment
from gateway.app.listen import Listener
from gateway.core.connections import fit
from gateway.core.providers import PROVIDERS

__all__ = ["look"]


def look(path: Path) -> list[Finding]:
    """Return what is found of the gateway whose configuration is at `path`."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return of_config(error)
    data = path.parent / config.data
    return [
        good(str(path)),
        *_secrets(config, path.parent),
        of_folder("data", data),
        *_place(config, data),
        *_records(path.parent / config.agents),
        *of_broker(config, path.parent),
        *_running(config, path.parent),
        *_listeners(config, path.parent, running=locked(data)),
        *_open_files(config),
    ]


def _place(config: GatewayConfig, data: Path) -> Iterator[Finding]:
    problem = unsafe_place(data)
    if problem is not None and config.journal.unsafe:
        yield good("data", f"{problem}: journal.unsafe allows it")
    elif problem is not None:
        yield bad("data", problem, "put it on a local disk or a volume, or say journal.unsafe: true")


def _secrets(config: GatewayConfig, folder: Path) -> Iterator[Finding]:
    yield of_secret("seal.key", config.seal.key, folder, load_private)
    for index, source in enumerate(config.sources):
        for number, ref in enumerate(source.secrets):
            yield _webhook_secret(f"sources[{index}].secrets[{number}]", ref, folder, source.provider)
    for ref in config.queue_secrets():
        yield of_secret("queue.rabbitmq", ref, folder)


def _webhook_secret(where: str, ref: SecretRef, folder: Path, provider: str) -> Finding:
    found = of_secret(where, ref, folder)
    if not found.ok:
        return found
    problem = PROVIDERS[provider].secret_problem(read_secret(ref, folder))
    return bad(where, f"{ref} {problem}", "make a new one, and tell the sender") if problem else found


def _records(folder: Path) -> Iterator[Finding]:
    try:
        paths = sorted(folder.glob("*.yaml"))
    except OSError as error:
        yield bad("agents", f"{folder}: {error.strerror}", "make it readable by the user the gateway runs as")
        return
    if not paths:
        yield good("agents", f"{folder} has no record yet", "bellpull enroll NAME --repository HOST/PATH")
    for path in paths:
        try:
            load(Enrolment, path)
        except ConfigError as error:
            yield from of_config(error)
        else:
            yield good(str(path))


def _listeners(config: GatewayConfig, folder: Path, *, running: bool) -> Iterator[Finding]:
    for name, listener in config.listen.each().items():
        yield _listener(f"listen.{name}", listener.address, ours=running)
        if listener.tls is not None:
            yield of_tls(f"listen.{name}.tls", listener.tls, folder, utc_now())


def _open_files(config: GatewayConfig) -> Iterator[Finding]:
    """Yield where the gateway, begun from here, has fewer connections than it is allowed: it begins all the same."""
    files, wanted = open_files.allow(), config.listen.connections()
    given = fit(wanted, files)
    if given != wanted:
        bounds = ", ".join(f"{name} {given[name]} of {wanted[name]}" for name in wanted)
        yield good("open files", f"with {files} there are fewer connections: {bounds}", "raise the hard limit")


def _listener(where: str, address: Address, *, ours: bool) -> Finding:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        socket.create_server((address.host, address.port), family=family).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return bad(
                where, f"{address}: {error.strerror or error}", "name an address of this machine, and a free port"
            )
        if ours:
            return good(where, f"{address} (the gateway is running)")
        return bad(where, f"{address} is taken by another program", "stop that, or choose another port")
    return good(where, f"{address} is free")


def _running(config: GatewayConfig, folder: Path) -> Iterator[Finding]:
    """Yield how the gateway says that it is, if it runs; what the configuration allows is no matter."""
    data = folder / config.data
    if locked(data):
        allowed = unsafe_place(data) if config.journal.unsafe else None
        found = asyncio.run(_ready(config.listen.console, folder))
        yield from (each for each in found if each.found != allowed)


async def _ready(console: Listener, folder: Path) -> list[Finding]:
    what, advice = "running", "see the gateway's log; was listen.console changed since it started?"
    url = f"{console.scheme}://{console.address}/readyz"
    try:
        known = fingerprint(console.tls, folder)
        async with client(total_s=3) as session, session.get(url, ssl=known) as response:
            said = dict(await response.json())
            answers = f"{url} answers {response.status}: {said['state']}"
            first = good(what, answers) if response.status == 200 else bad(what, answers, advice)
            return [first, *(bad(what, problem) for problem in said.get("problems", ()))]
    except aiohttp.ServerFingerprintMismatch:
        return [bad(what, f"{url} has another certificate than the file", "see the gateway's log: was it refused?")]
    except (aiohttp.ClientError, TimeoutError, TlsError, TypeError, ValueError, KeyError):
        return [bad(what, f"a gateway owns data, and {url} does not answer", advice)]
