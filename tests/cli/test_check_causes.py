"""`bellpull check` where a server is not reached: one line for each cause, with where it is and what to do about it.

Servers, certificates and proxies are real; the same causes are told of the gateway, of Git and of RabbitMQ.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any, Final

import aiohttp
import pytest
import trustme

from agent.adapters.git import Mirrors
from agent.app.config import load_config
from agent.spec import Sync
from bellpull.cli import check_dial, check_reach
from bellpull.cli.check_cause import Cause, Peer, cause_of, not_reached
from bellpull.cli.check_git import of_source
from bellpull.cli.check_queue import of_queue
from bellpull.cli.check_reach import of_gateway
from bellpull.cli.check_standing import Files
from bellpull.cli.finding import Finding
from bellpull.runtime.clock import utc_now
from tests.agent.test_agent_config import GATEWAY, written
from tests.parts.front import free_port
from tests.parts.proxy import Proxy

PASSWORD: Final = "open-sesame"
Handler = Callable[[socket.socket], None]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where there is no server as it should be; how it is spoken to, and through which proxy."""

    host: str = "127.0.0.1"
    port: int
    tls: bool = True
    proxy: str = ""
    ca: Path | None = None


Way = Callable[[AsyncExitStack, Path], Awaitable[Place]]


def _answers_plainly(line: socket.socket) -> None:
    line.recv(100)
    line.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def _is_silent(line: socket.socket) -> None:
    while line.recv(100):
        pass


def _shakes_hands(context: ssl.SSLContext) -> Handler:
    def handle(line: socket.socket) -> None:
        context.wrap_socket(line, server_side=True).close()

    return handle


async def _listening(stack: AsyncExitStack, handler: Handler) -> int:
    """Serve in a thread: asyncio's servers hang up on TLS they do not agree to without the alert that says why."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                with accepted, suppress(OSError):
                    handler(accepted)

    thread = Thread(target=serve)
    thread.start()
    stack.push_async_callback(asyncio.to_thread, thread.join)
    stack.callback(listener.shutdown, socket.SHUT_RDWR)
    return int(listener.getsockname()[1])


def _server(folder: Path, name: str = "127.0.0.1", *, known: bool = True, **times: Any) -> ssl.SSLContext:
    """Return a server's context, and write the authority that is trusted, which made it if it is `known`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    maker = authority if known else trustme.CA()
    maker.issue_cert(name, **times).configure_cert(context)
    return context


async def _behind(stack: AsyncExitStack, folder: Path, context: ssl.SSLContext) -> Place:
    return Place(port=await _listening(stack, _shakes_hands(context)), ca=folder / "ca.pem")


async def _stranger(stack: AsyncExitStack, folder: Path) -> Place:
    return await _behind(stack, folder, _server(folder, known=False))


async def _namesake(stack: AsyncExitStack, folder: Path) -> Place:
    return await _behind(stack, folder, _server(folder, "gateway.example.org"))


async def _expired(stack: AsyncExitStack, folder: Path) -> Place:
    ended = utc_now() - timedelta(days=1)
    return await _behind(stack, folder, _server(folder, not_after=ended))


async def _early(stack: AsyncExitStack, folder: Path) -> Place:
    return await _behind(stack, folder, _server(folder, not_before=utc_now() + timedelta(days=1)))


async def _wants_more(stack: AsyncExitStack, folder: Path) -> Place:
    context = _server(folder)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 would refuse after the handshake
    context.verify_mode = ssl.CERT_REQUIRED
    return await _behind(stack, folder, context)


async def _closing(stack: AsyncExitStack, folder: Path) -> Place:
    return await _behind(stack, folder, _server(folder))


async def _without_tls(stack: AsyncExitStack, _: Path) -> Place:
    return Place(port=await _listening(stack, _answers_plainly))


async def _only_tls(stack: AsyncExitStack, folder: Path) -> Place:
    return replace(await _behind(stack, folder, _server(folder)), tls=False, ca=None)


async def _silent(stack: AsyncExitStack, _: Path) -> Place:
    return Place(port=await _listening(stack, _is_silent))


async def _nobody(_: AsyncExitStack, __: Path) -> Place:
    return Place(port=free_port())


async def _nameless(_: AsyncExitStack, __: Path) -> Place:
    return Place(host="nowhere.invalid", port=443)


def _proxied(account: str | None = None, refuses: HTTPStatus | None = None) -> Way:
    async def way(stack: AsyncExitStack, _: Path) -> Place:
        proxy = await stack.enter_async_context(Proxy(account=account, refuses=refuses))
        return Place(host="gateway.example.org", port=443, proxy=proxy.url.replace("//", f"//ada:{PASSWORD}@"))

    return way


async def _no_proxy(_: AsyncExitStack, __: Path) -> Place:
    return Place(host="gateway.example.org", port=443, proxy=f"http://ada:{PASSWORD}@127.0.0.1:{free_port()}")


@asynccontextmanager
async def _there(way: Way, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for module, name, seconds in (
        (check_dial, "_DIAL_S", 0.5),
        (check_dial, "_TOTAL_S", 1.5),
        (check_reach, "_CONNECT_S", 0.5),
        (check_reach, "_TRY_S", 1.5),
    ):
        monkeypatch.setattr(module, name, seconds)
    async with AsyncExitStack() as stack:
        place = await way(stack, folder)
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, place.proxy) if place.proxy else monkeypatch.delenv(name, raising=False)
        yield place


def _files(folder: Path, **changes: object) -> Files:
    path = written(folder, **changes)
    return Files(path=path, config=load_config(path), syncs=(), pinned=None, report_kid=None)


async def _of_gateway(place: Place, folder: Path) -> Finding:
    asked: dict[str, object] = {
        "url": f"http{'s' if place.tls else ''}://{place.host}:{place.port}",
        "token": {"file": "token"},
    }
    more = {} if place.ca is None else {"ca": str(place.ca)}
    files = await asyncio.to_thread(lambda: _files(folder, gateway=GATEWAY | asked | more))
    (found,) = await of_gateway(files)
    return found


async def _of_git(place: Place, folder: Path) -> Finding:
    more = {} if place.ca is None else {"git": {"ca": str(place.ca)}}
    files = await asyncio.to_thread(lambda: _files(folder, **more))
    url = f"http{'s' if place.tls else ''}://{place.host}:{place.port}/acme/site.git"
    spec = {"source": {"url": url, "branch": "main"}, "target": {"directory": {"path": "/srv/site"}}}
    sync = {"apiVersion": "bellpull.dev/v1alpha1", "kind": "Sync", "metadata": {"name": "site"}, "spec": spec}
    async with Mirrors(folder / "mirrors", ca=place.ca, timeout_s=1.5) as git:
        return await of_source(git, files.config, Sync.model_validate(sync))


async def _of_queue(place: Place, folder: Path) -> Finding:
    url = f"amqp{'s' if place.tls else ''}://{place.host}:{place.port}/acme"
    more = {} if place.ca is None else {"ca": str(place.ca)}
    login = {"username": "web-1", "password": {"file": "broker-password"}}
    queue = {"rabbitmq": {"url": url, **login, **more}}
    files = await asyncio.to_thread(lambda: _files(folder, queue=queue))
    (found,) = await of_queue(files)
    return found


Look = Callable[[Place, Path], Awaitable[Finding]]
Case = tuple[Way, str, str]
LOOKS: Final[dict[str, Look]] = {"the gateway": _of_gateway, "Git": _of_git, "RabbitMQ": _of_queue}
CAUSES: Final[dict[str, Case]] = {
    "a name that is not there": (_nameless, "name", "resolv|spelt"),
    "nobody listens": (_nobody, "connection refused, nobody listens there", "is it running"),
    "an authority that is not known": (_stranger, "is not trusted: none of the known authorities", "{ca};"),
    "a certificate for another name": (_namesake, "its certificate is for another name than 127.0.0.1", "{url}"),
    "a certificate that ended": (_expired, "its certificate has expired", "renew it there"),
    "a certificate that did not begin": (_early, "its certificate is not valid yet", "clock"),
    "no TLS where it is expected": (_without_tls, "does not speak TLS on that port", "the port where TLS ends"),
    "TLS where none is expected": (_only_tls, "speaks only TLS on that port", "s:// in {url}"),
    "TLS that is not agreed on": (_wants_more, "it speaks TLS, and none that both accept", "client certificate"),
}
SETTINGS: Final = {
    "the gateway": ("gateway.url", "gateway.ca"),
    "Git": ("source.url", "git.ca"),
    "RabbitMQ": ("queue.rabbitmq.url", "queue.rabbitmq.ca"),
}


@pytest.mark.parametrize("who", LOOKS)
@pytest.mark.parametrize("case", CAUSES.values(), ids=CAUSES.keys())
async def test_each_cause_has_its_own_line_wherever_it_is_met(
    case: Case, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P11: what happened, at which host and port, and which setting to look at."""
    way, said, advice = case
    async with _there(way, tmp_path, monkeypatch) as place:
        finding = await LOOKS[who](place, tmp_path)
    url, ca = SETTINGS[who]
    assert not finding.ok
    assert f"{place.host}:{place.port}: " in finding.found
    assert said in finding.found
    assert any(part in finding.do for part in advice.format(url=url, ca=ca).split("|")), finding


OF_HTTP: Final[dict[str, Case]] = {
    "a proxy that refuses": (
        _proxied(refuses=HTTPStatus.FORBIDDEN),
        "the proxy 127.0.0.1:{port} does not lead there (403)",
        "NO_PROXY",
    ),
    "a proxy that knows another password": (
        _proxied(account="ada:other"),
        "the proxy 127.0.0.1:{port} wants to know who asks (407)",
        "user and password into HTTPS_PROXY",
    ),
    "a proxy that is away": (_no_proxy, "the proxy 127.0.0.1:{port} that leads there cannot be reached", "NO_PROXY"),
    "a listener that says nothing": (_silent, "takes connections and does not answer in time", "see the log of "),
    "a server that hangs up": (_closing, "closed the connection without an answer", "see the log of "),
}


@pytest.mark.parametrize("who", ["the gateway", "Git"])
@pytest.mark.parametrize("case", OF_HTTP.values(), ids=OF_HTTP.keys())
async def test_so_have_those_of_proxies_and_silence(
    case: Case, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P11: also where it is the proxy that has to be mended, whose password is not said."""
    way, said, advice = case
    async with _there(way, tmp_path, monkeypatch) as place:
        finding = await LOOKS[who](place, tmp_path)
    assert f"{place.host}:{place.port}: " in finding.found
    assert said.format(port=place.proxy.rpartition(":")[2]) in finding.found
    assert advice in finding.do
    assert PASSWORD not in str(finding)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), (b"", "holds no certificate in PEM")], ids=["not there", "empty"]
)
async def test_a_file_of_authorities_that_is_of_no_use_is_named(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_bytes(content)
    finding = await _of_gateway(Place(port=free_port(), ca=ca), tmp_path)
    assert (finding.ok, finding.what) == (False, "gateway.ca")
    assert str(ca) in finding.found
    assert said in finding.found


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), Cause.NO_NAME),
        (socket.gaierror(socket.EAI_AGAIN, ""), Cause.NO_RESOLVER),
        (OSError(errno.EHOSTUNREACH, ""), Cause.NO_WAY),
        (OSError(errno.ETIMEDOUT, ""), Cause.NO_CONNECTION),
        (aiohttp.ConnectionTimeoutError(), Cause.NO_CONNECTION),
        (TimeoutError(), Cause.NO_ANSWER),
        (ConnectionResetError(), Cause.HUNG_UP),
        (aiohttp.InvalidURL("http://"), None),
    ],
)
def test_what_no_machine_can_show_is_told_apart_too(error: Exception, cause: Cause | None) -> None:
    """A name that is not there is another matter than a name server that is away, a way than a server."""
    assert cause_of(error) is cause


def test_each_cause_has_words_of_its_own() -> None:
    """And none is left with a place that was not filled in."""
    peer = Peer(what="w", who="it", host="::1", port=7, url="u", ca="c", proxy="p:1")
    findings = [not_reached(peer, each) for each in Cause]
    assert len({each.found for each in findings}) == len({each.do for each in findings}) == len(Cause)
    assert all(each.found.startswith("[::1]:7: ") and "{" not in each.found + each.do for each in findings)
