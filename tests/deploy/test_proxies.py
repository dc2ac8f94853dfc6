"""The shipped nginx and Caddy in front of a gateway, all of them real: what passes, and as whose (R42)."""

import asyncio
import http.client
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson
import pytest
import pytest_asyncio

from bellpull.contract.message import MAX_BYTES
from bellpull.runtime.http import Limits
from gateway.app.intake import MAX_BODY
from tests.deploy import shipped
from tests.deploy.shipped import AGENTS, HOOKS
from tests.gateway.github import headers, payload
from tests.gateway.process import TOKEN, Folder, eventually
from tests.gateway.strangers import crowd, says_nothing, sends_its_body_slowly, sends_its_head_slowly
from tests.parts.caddy import Caddy
from tests.parts.front import Front
from tests.parts.nginx import Nginx

CLIENT: Final = "127.0.0.2"
"""Loopback too, but not the proxy's address, which alone is trusted."""
SOON_S: Final = 3.0
SLOW_S: Final = 10.0
"""What a head or a body may take."""
MIB: Final = 1024 * 1024
NOTHING: Final[Mapping[str, str]] = {}
BEARER: Final = {"Authorization": f"Bearer {TOKEN}"}

each_kind = pytest.mark.parametrize("kind", ["nginx", "caddy"])


class Line(http.client.HTTPSConnection):
    """A connection of the client's address to a proxy, by the name it has in the example."""

    def __init__(self, host: str, at: Front, context: ssl.SSLContext, address: str = CLIENT) -> None:
        super().__init__(host, timeout=20, context=context)
        self._at = at
        self._trusts = context
        self._from = (address, 0)

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self._at.port), timeout=20, source_address=self._from)
        self.sock = self._trusts.wrap_socket(plain, server_hostname=self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fronted:
    """A gateway, and the proxies in front of it."""

    folder: Folder
    fronts: Mapping[str, Front]
    context: ssl.SSLContext
    address: str = CLIENT
    """Where requests come from; streams always come from the client's."""

    def ask(
        self, kind: str, line: str, body: bytes | Iterable[bytes] | None = None, fields: Mapping[str, str] = NOTHING
    ) -> tuple[int, bytes]:
        """Ask what a line says: `METHOD https://HOST/PATH`."""
        method, _, url = line.partition(" https://")
        host, slash, path = url.partition("/")
        with closing(Line(host, self.fronts[kind], self.context, self.address)) as connection:
            connection.connect()
            with suppress(ssl.SSLError, ConnectionError):  # it does not want to hear all of it
                chunked = not isinstance(body, bytes | None)
                connection.request(method, slash + path, body, dict(fields), encode_chunked=chunked)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def push(self, kind: str, delivery: str, fields: Mapping[str, str] = NOTHING, body: bytes = b"") -> int:
        """Deliver a signed push; each names another commit."""
        body = body or orjson.dumps(payload(after=f"{abs(hash(delivery)):040x}"[-40:]))
        return self.ask(kind, f"POST https://{HOOKS}/hooks/github", body, signed(body, delivery) | dict(fields))[0]

    def stream(self, kind: str) -> "Stream":
        line = Line(AGENTS, self.fronts[kind], self.context)
        line.request("GET", "/v1/events", headers=BEARER)
        return Stream(line)

    def logged(self, delivery: str) -> str:
        """Return the address that the gateway logged for a delivery."""
        with eventually(f"{delivery} is in the log") as look:
            while not (lines := [each for each in self.folder.lines() if each.get("delivery") == delivery]):
                look.again()
        return str(lines[0]["remote"])


class Stream:
    """What an agent hears."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._answer = line.getresponse()
        assert self._answer.status == 200

    def hears(self, text: str) -> float:
        """Read until `text` comes; return how long that took, in seconds."""
        begun = time.monotonic()
        while text not in self._answer.readline().decode():
            assert not self._answer.isclosed(), "the stream ended"
        return time.monotonic() - begun

    def close(self) -> None:
        self._line.close()


def signed(body: bytes, delivery: str) -> dict[str, str]:
    fields = {key.decode(): field.decode() for key, field in headers(body)}
    return fields | {"X-GitHub-Delivery": delivery}


def configured(path: Path) -> Folder:
    """Return a gateway's folder, whose configuration is as the examples ask for it."""
    folder = Folder(path)
    config = (path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace("listen: {", "listen: {trusted_proxies: [127.0.0.1], "))
    folder.enroll()
    return folder


@pytest.fixture(scope="module")
def programs(nginx_program: Path, caddy_program: Path) -> Mapping[str, Path]:
    return {"nginx": nginx_program, "caddy": caddy_program}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fronted(tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Path]) -> AsyncIterator[Fronted]:
    path = tmp_path_factory.mktemp("fronted")
    folder, context = configured(path), ssl.create_default_context()
    async with AsyncExitStack() as stack:
        running = stack.enter_context(folder.running())
        hooks, agents = (int(url.rpartition(":")[2]) for url in (running.hooks, running.agents))
        gateway = shipped.Gateway(hooks=hooks, agents=agents)
        config = shipped.nginx(gateway, path / "tls", context)
        nginx = await stack.enter_async_context(Nginx(programs["nginx"], path / "nginx", config))
        caddy = await stack.enter_async_context(Caddy(programs["caddy"], path / "caddy", shipped.caddy(gateway)))
        await asyncio.to_thread(_has_its_certificates, caddy, context)
        yield Fronted(folder=folder, fronts={"nginx": nginx, "caddy": caddy}, context=context)


def _has_its_certificates(caddy: Caddy, context: ssl.SSLContext) -> None:
    """Wait for what Caddy issues itself: it listens before it has all of it."""
    with eventually("Caddy has a certificate for each name") as look:
        while not caddy.authority.exists():
            look.again()
        context.load_verify_locations(caddy.authority)
        for name in (HOOKS, AGENTS):
            while not _greets(Line(name, caddy, context)):
                look.again()


def _greets(line: Line) -> bool:
    with closing(line), suppress(ssl.SSLError, ConnectionError):
        line.connect()
        return True
    return False


@each_kind
def test_a_signed_push_comes_through_and_whoever_claims_to_be_another_is_logged_as_who_he_is(
    fronted: Fronted, kind: str
) -> None:
    """What a stranger says of addresses changes nothing, nor what one on the proxy's machine says."""
    forged = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Real-IP": "203.0.113.7"}
    assert fronted.push(kind, f"{kind}-honest") == 202
    assert fronted.push(kind, f"{kind}-forged", forged) == 202
    assert fronted.logged(f"{kind}-honest") == CLIENT
    assert fronted.logged(f"{kind}-forged") == CLIENT
    assert replace(fronted, address="127.0.0.1").push(kind, f"{kind}-beside", forged) == 202
    assert fronted.logged(f"{kind}-beside") == "127.0.0.1"


@each_kind
def test_a_body_of_25_mib_passes_and_a_larger_one_does_not(fronted: Fronted, kind: str) -> None:
    """The largest that GitHub sends; also where its size is not said before."""
    body = orjson.dumps(payload(padding=""))
    largest = body.replace(b'"padding":""', b'"padding":"' + b"x" * (MAX_BODY - len(body)) + b'"')
    assert len(largest) == MAX_BODY
    assert fronted.push(kind, f"{kind}-large", body=largest) == 202
    larger = bytes(26 * MIB)
    assert fronted.push(kind, f"{kind}-larger", body=larger) == 413
    pieces = (bytes(MIB) for _ in range(26))
    assert fronted.ask(kind, f"POST https://{HOOKS}/hooks/github", pieces, signed(larger, "chunked"))[0] == 413


@each_kind
def test_an_event_is_streamed_as_soon_as_it_is_there(fronted: Fronted, kind: str) -> None:
    with closing(fronted.stream(kind)) as stream:
        stream.hears("event: tick")
        for number in range(3):
            assert fronted.push(kind, f"{kind}-streamed-{number}") == 202
            assert stream.hears(f"{kind}-streamed-{number}") < SOON_S


@each_kind
def test_a_poll_is_answered_as_soon_as_there_is_an_event(fronted: Fronted, kind: str) -> None:
    status, answer = fronted.ask(kind, f"GET https://{AGENTS}/v1/events?wait=0", fields=BEARER)
    assert status == 200
    cursor = re.findall(r"^id: ?(.+)$", answer.decode(), re.MULTILINE)[-1]
    with closing(Line(AGENTS, fronted.fronts[kind], fronted.context)) as line:
        line.request("GET", f"/v1/events?wait=15&after={cursor}", headers=BEARER)
        assert fronted.push(kind, f"{kind}-polled") == 202
        begun = time.monotonic()
        assert f"{kind}-polled" in line.getresponse().read().decode()
        assert time.monotonic() - begun < SOON_S


@each_kind
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (f"GET https://{HOOKS}/", 404),
        (f"GET https://{HOOKS}/hooks/github", 405),
        (f"GET https://{HOOKS}/metrics", 404),
        (f"GET https://{HOOKS}/healthz", 404),
        (f"GET https://{HOOKS}/api/v1/commits/{'a' * 40}", 404),
        (f"POST https://{HOOKS}/hooks/../metrics", 404),
        (f"POST https://{HOOKS}/hooks/%2e%2e/metrics", 404),
        (f"POST https://{HOOKS}//metrics", 404),
        (f"GET https://{HOOKS}/v1/events", 404),
        (f"POST https://{HOOKS}/v1/reports", 404),
        (f"GET https://{AGENTS}/", 404),
        (f"GET https://{AGENTS}/metrics", 404),
        (f"GET https://{AGENTS}/api/v1/commits/{'a' * 40}", 404),
        (f"POST https://{AGENTS}/hooks/github", 404),
        (f"GET https://{AGENTS}/v1/events", 401),
    ],
)
def test_nothing_else_is_published(fronted: Fronted, kind: str, line: str, status: int) -> None:
    body = b"{}" if line.startswith("POST") else None
    assert fronted.ask(kind, line, body)[0] == status


async def test_strangers_who_are_slow_are_hung_up_on_and_hold_up_nobody(fronted: Fronted) -> None:
    """A stream that was there before lasts, and hears a push that comes meanwhile, and one after it all."""
    streams = {kind: await asyncio.to_thread(fronted.stream, kind) for kind in fronted.fronts}
    async with asyncio.TaskGroup() as tasks:
        crowds = [tasks.create_task(each) for front in fronted.fronts.values() for each in _strangers(fronted, front)]
        await asyncio.sleep(1)
        for kind, stream in streams.items():
            begun = time.monotonic()
            assert await asyncio.to_thread(fronted.push, kind, f"{kind}-amid") == 202
            assert time.monotonic() - begun < SOON_S
            await asyncio.to_thread(stream.hears, f"{kind}-amid")
    for crowded in crowds:
        for how, ended in crowded.result().items():
            assert max(ended) < 3 * SLOW_S, (how, ended)
    for kind, stream in streams.items():
        with closing(stream):
            assert await asyncio.to_thread(fronted.push, kind, f"{kind}-after") == 202
            await asyncio.to_thread(stream.hears, f"{kind}-after")


def _strangers(fronted: Fronted, front: Front) -> Iterator[Coroutine[None, None, dict[str, list[float]]]]:
    """Yield those who never begin TLS, and those who do and are slow then."""
    yield crowd(front.address, 20, kinds=[says_nothing])
    slow = (says_nothing, sends_its_head_slowly, sends_its_body_slowly)
    yield crowd(front.address, 20, kinds=slow, tls=fronted.context, name=HOOKS)


@each_kind
def test_tls_older_than_1_2_is_refused(fronted: Fronted, kind: str) -> None:
    port = fronted.fronts[kind].port
    client = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-servername",
        HOOKS,
        "-cipher",
        "ALL:@SECLEVEL=0",
    ]
    for version, agreed in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        done = subprocess.run(
            [*client, version], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20
        )
        assert (done.returncode == 0) == agreed, done.stderr
        assert agreed or b"alert protocol version" in done.stderr


@each_kind
def test_figures_are_those_of_the_gateway(kind: str) -> None:
    """Idle connections are given up well before a gateway that does not know the proxy gives them up."""
    text = shipped.read(kind)
    kept = [int(each) for each in re.findall(r"^\s*keepalive(?:_timeout)? (\d+)s;?  ?#", text, re.MULTILINE)]
    assert kept
    assert max(kept) <= Limits().head_s - 2
    sizes = [int(each) * MIB for each in re.findall(r"(?:client_max_body_size|max_size) (\d+)(?:m;|MiB)", text)]
    assert sizes == [MAX_BODY, MAX_BYTES]
    assert "8082" not in re.sub(r"#.*", "", text)
