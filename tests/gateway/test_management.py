"""The management API of a real RabbitMQ: what is made is there as it was wanted, and what is removed is gone."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
import trustme

from bellpull.contract.text import Name
from bellpull.runtime.secret import Secret
from gateway.adapters.management import REMOVAL, Management, ManagementError
from gateway.core.definitions import password_hash, to_definitions
from gateway.core.things import Policy, Thing, User, VirtualHost
from gateway.core.topology import owner_tag, topology
from gateway.core.topology_change import Difference, difference
from tests.parts.rabbitmq import PASSWORD, USER, Broker

TAG = owner_tag(Name("bellpull"))
_numbers = count()
AGENTS = {Name("api-1"): ["github.com/acme/*", "*/acme/site", "**"], Name("api.2"): ["git.example/" + "é" * 90]}


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    """The name of a virtual host of this test's own, which is not there yet."""
    name = f"api/{next(_numbers)}"
    yield name
    for each in broker.ask("GET", "users"):
        if TAG in each["tags"]:
            broker.ask("DELETE", f"users/{each['name']}")
    broker.ask("DELETE", f"vhosts/{quote(name, safe='')}")


@pytest.fixture
def management(broker: Broker) -> Iterator[Management]:
    with Management(broker.management, username=USER, password=Secret(PASSWORD.encode())) as management:
        yield management


def _wanted(vhost: str, agents: dict[Name, list[str]]) -> frozenset[Thing]:
    return topology(installation=Name("bellpull"), vhost=vhost, gateway="api_gateway", agents=agents)


def _make(management: Management, vhost: str, things: frozenset[Thing]) -> None:
    hashes = {each.name: password_hash(b"p", b"salt") for each in things if isinstance(each, User)}
    management.make(to_definitions(things, vhost, hashes))


def test_what_was_made_is_there_as_it_was_wanted_and_goes_again(management: Management, vhost: str) -> None:
    """From no virtual host to everything, to one agent less, to other bounds: each time nothing is left to do."""
    assert not any(isinstance(each, VirtualHost) for each in management.things(vhost))
    wanted = _wanted(vhost, AGENTS)
    _make(management, vhost, difference(wanted, management.things(vhost), TAG).add)
    assert difference(wanted, management.things(vhost), TAG) == Difference()

    fewer = _wanted(vhost, {Name("api.2"): AGENTS[Name("api.2")]})
    change = difference(fewer, management.things(vhost), TAG)
    assert change == Difference(remove=wanted - fewer)
    for thing in sorted(change.remove, key=lambda each: REMOVAL.index(type(each))):
        management.remove(thing, vhost)
    assert difference(fewer, management.things(vhost), TAG) == Difference()
    assert fewer - {VirtualHost(name=vhost)} <= management.things(vhost)

    policies = frozenset(each for each in fewer if isinstance(each, Policy))
    _make(management, vhost, frozenset(replace(each, pattern="^x") for each in policies))
    assert difference(fewer, management.things(vhost), TAG) == Difference(change=policies)
    _make(management, vhost, policies)
    assert difference(fewer, management.things(vhost), TAG) == Difference()


def test_what_is_gone_already_may_be_removed(management: Management, vhost: str) -> None:
    things = _wanted(vhost, AGENTS)
    _make(management, vhost, things)
    for _ in range(2):
        for thing in sorted(things - {VirtualHost(name=vhost)}, key=lambda each: REMOVAL.index(type(each))):
            management.remove(thing, vhost)
    assert not difference((), management.things(vhost), TAG).remove


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://guest:hunter2@127.0.0.1:15672", "has a user or password in it"),
        ("http://mq.example.org:15672", "without TLS: use https"),
        ("mq.example.org", "is no https://"),
        ("https://mq.example.org:0", "is no https://"),
        ("https://mq.example.org/a?b", "is no https://"),
    ],
)
def test_a_url_that_is_refused_says_why_and_is_not_repeated(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as raised:
        Management(url, username="u", password=Secret(b"p"))
    assert "hunter2" not in str(raised.value)


def test_a_wrong_password_is_said_and_not_shown(broker: Broker) -> None:
    with (
        Management(broker.management, username=USER, password=Secret(b"hunter2")) as management,
        pytest.raises(ManagementError, match=r"guest is refused \(401 .*tag administrator") as raised,
    ):
        management.things("/")
    assert "hunter2" not in str(raised.value)


def test_a_broker_that_is_not_there_is_said() -> None:
    with (
        Management("http://127.0.0.1:1", username=USER, password=Secret(b"p")) as management,
        pytest.raises(ManagementError, match=r"http://127\.0\.0\.1:1: connection refused"),
    ):
        management.things("/")


def test_what_is_refused_says_what_it_was(management: Management, vhost: str) -> None:
    _make(management, vhost, _wanted(vhost, {}))
    odd = {"vhost": vhost, "name": "q", "durable": True, "auto_delete": False, "arguments": {"x-queue-type": "odd"}}
    with pytest.raises(ManagementError, match=r"POST definitions ended with 400: .*x-queue-type"):
        management.make({"vhosts": [], "queues": [odd]})


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[str]:
    """Something that is no RabbitMQ, behind a certificate of an authority in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_has_to_be_of_an_authority_that_is_trusted(over_tls: str, tmp_path: Path) -> None:
    def ask(ca: Path | None) -> None:
        with Management(over_tls, username="u", password=Secret(b"p"), ca=ca) as management:
            management.things("/")

    with pytest.raises(ManagementError, match="its certificate is not trusted"):
        ask(None)
    with pytest.raises(ManagementError, match="are no definitions of RabbitMQ"):
        ask(tmp_path / "ca.pem")
