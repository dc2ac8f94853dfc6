"""TLS to a real RabbitMQ: whom the programs trust, and as whom they are let in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.connect import BrokerError, LoginRefusedError, connect
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from tests.parts.front import free_port
from tests.parts.rabbitmq import Broker

AGENT = "web-1"
_CONFIG = """\
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
"""


class Secured:
    """A node that speaks TLS, with a user `web-1`; all certificates are in its folder."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        stranger.cert_pem.write_to_path(folder / "stranger.pem")
        self._issue(authority.issue_cert("127.0.0.1"), "server")
        self._issue(authority.issue_cert("agent@example.org", common_name=AGENT), AGENT)
        self._issue(authority.issue_cert("agent@example.org", common_name="nobody"), "nobody")
        self._issue(stranger.issue_cert("agent@example.org", common_name=AGENT), "forged")
        (folder / "password").write_text("right")
        config = _CONFIG.format(port=self.port, folder=folder)
        self.node = Broker(program, folder / "node", config, plugins=["rabbitmq_auth_mechanism_ssl"])

    def _issue(self, made: trustme.LeafCert, name: str) -> None:
        made.private_key_pem.write_to_path(self.folder / f"{name}.key")
        (self.folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))

    def start(self) -> None:
        """Start it, with its user. Blocks."""
        self.node.start()
        self.node.ask("PUT", f"users/{AGENT}", {"password": "right", "tags": ""})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.node.ask("PUT", f"permissions/%2F/{AGENT}", everything)

    def settings(self, *, host: str = "127.0.0.1", ca: str = "ca.pem", **login: Any) -> RabbitMQSettings:
        """Return how to log in; without more by the password."""
        login = login or {"password": SecretRef(file=Path("password"))}
        url = f"amqps://{host}:{self.port}"
        return RabbitMQSettings(url=url, username=AGENT, ca=Path(ca), **login)


def certificate(name: str) -> dict[str, Any]:
    """Return the settings for a client certificate."""
    return {"certificate": Path(f"{name}.pem"), "key": Path(f"{name}.key")}


@pytest.fixture(scope="module")
def secured(rabbitmq_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(rabbitmq_program, tmp_path_factory.mktemp("secured"))
    made.start()
    yield made
    made.node.kill()


async def connected(secured: Secured, settings: RabbitMQSettings) -> str:
    """Connect, and return as whom the broker knows it."""
    async with connect(settings, secured.folder, "bellpull agent web-1"), asyncio.timeout(60):
        while True:
            known = await asyncio.to_thread(secured.node.ask, "GET", "connections")
            found = [each for each in known if each.get("user") and each.get("ssl")]
            if found:
                return f"{found[0]['user']}, {found[0]['auth_mechanism']}"
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("login", "known"),
    [
        pytest.param({}, "web-1, PLAIN", id="by password"),
        pytest.param(certificate(AGENT), "web-1, EXTERNAL", id="by certificate"),
        pytest.param(
            {"password": SecretRef(file=Path("password")), **certificate(AGENT)}, "web-1, PLAIN", id="by both"
        ),
    ],
)
async def test_who_is_let_in(secured: Secured, login: dict[str, Any], known: str) -> None:
    assert await connected(secured, secured.settings(**login)) == known


async def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(secured: Secured) -> None:
    """No password is sent to it."""
    with pytest.raises(
        BrokerError, match=r"127\.0\.0\.1:\d+: its certificate is not trusted: .*certificate.* \(ca says"
    ):
        await connected(secured, secured.settings(ca="stranger.pem"))


async def test_a_broker_of_another_name_is_not_spoken_to(secured: Secured) -> None:
    with pytest.raises(BrokerError, match=r"localhost:\d+: its certificate is not trusted: .*'localhost'"):
        await connected(secured, secured.settings(host="localhost"))


async def test_a_certificate_of_another_authority_lets_nobody_in(secured: Secured) -> None:
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:\d+: "):
        await connected(secured, secured.settings(**certificate("forged")))


async def test_a_certificate_of_nobody_who_is_known_lets_nobody_in(secured: Secured) -> None:
    with pytest.raises(LoginRefusedError, match="does not let web-1 in"):
        await connected(secured, secured.settings(**certificate("nobody")))


async def test_a_wrong_password_lets_nobody_in_and_is_not_said(secured: Secured) -> None:
    (secured.folder / "wrong").write_text("wr0ng-word")
    with pytest.raises(LoginRefusedError) as refused:
        await connected(secured, secured.settings(password=SecretRef(file=Path("wrong"))))
    assert "wr0ng-word" not in str(refused.value)
