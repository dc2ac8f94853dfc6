"""The shipped configuration of RabbitMQ, run as it is but for ports and places; and the Compose file beside it."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml
from jsonschema import Draft201909Validator

from bellpull.contract.text import Name
from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.connect import BrokerError, connect
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.core.definitions import things_of
from gateway.core.topology import shared
from tests import parts
from tests.cli.brokers import access
from tests.cli.command import bellpull
from tests.parts import compose
from tests.parts.front import free_port
from tests.parts.rabbitmq import PASSWORD, USER, Broker

pytestmark = pytest.mark.timeout(180)
DEPLOY = Path(__file__).parents[2] / "deploy"
PLUGINS = re.findall(r"rabbitmq_\w+", (DEPLOY / "rabbitmq/enabled_plugins").read_text())


@dataclass(frozen=True, slots=True)
class Hardened:
    """A node that runs the sample, and the authority that its certificate is of."""

    broker: Broker
    folder: Path
    authority: trustme.CA
    management: int

    def settings(self, **who: object) -> RabbitMQSettings:
        url = f"amqps://localhost:{self.broker.port}/bellpull"
        return RabbitMQSettings.model_validate({"url": url, "ca": self.folder / "ca.pem", **who})

    def certificate(self, authority: trustme.CA, name: str) -> dict[str, Path]:
        """Return where a client's certificate and key are."""
        issued = authority.issue_cert(name, common_name=name)
        issued.cert_chain_pems[0].write_to_path(str(self.folder / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        return {"certificate": self.folder / f"{name}.pem", "key": self.folder / f"{name}.key"}


def _sample(folder: Path, management: int) -> str:
    """Return the sample with other ports and places, and less of a disk."""
    changed = (DEPLOY / "rabbitmq/rabbitmq.conf").read_text()
    for old, new in {
        "listeners.ssl.default = 5671": "listeners.ssl.default = 127.0.0.1:{amqp}",
        "management.ssl.ip = 0.0.0.0": "management.ssl.ip = 127.0.0.1",
        "management.ssl.port = 15671": f"management.ssl.port = {management}",
        "management.tcp.port = 15672": "management.tcp.port = {management}",
        "prometheus.tcp.port = 15692": f"prometheus.tcp.port = {free_port()}",
        "/etc/rabbitmq/definitions.json": str(DEPLOY / "rabbitmq/definitions.json"),
        "/etc/rabbitmq/tls/": f"{folder}/",
        "disk_free_limit.absolute = 2GB": "disk_free_limit.absolute = 10MB",
    }.items():
        assert old in changed
        changed = changed.replace(old, new)
    return changed


@pytest.fixture(scope="module")
def hardened(rabbitmq_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hardened]:
    folder = tmp_path_factory.mktemp("hardened")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    management = free_port()
    plugins = [each for each in PLUGINS if each != "rabbitmq_management"]
    broker = Broker(rabbitmq_program, folder / "node", plugins=plugins, base=_sample(folder, management))
    broker.start()
    broker.rabbitmqctl(folder)
    try:
        for words in (("add_user", USER, PASSWORD), ("set_user_tags", USER, "administrator")):
            subprocess.run([folder / "rabbitmqctl", *words], check=True, capture_output=True, timeout=60)
        yield Hardened(broker, folder, authority, management)
    finally:
        broker.kill()


async def _enter(settings: RabbitMQSettings, folder: Path) -> None:
    async with connect(settings, folder, "test"):
        pass


@pytest.fixture
def agent(hardened: Hardened) -> Iterator[str]:
    """A user with the rights to enter."""
    hardened.broker.ask("PUT", "users/web-1", {"password": "known", "tags": ""})
    hardened.broker.ask("PUT", "permissions/bellpull/web-1", {"configure": "^$", "write": "^$", "read": "^$"})
    yield "web-1"
    hardened.broker.ask("DELETE", "users/web-1")


async def test_by_tls_with_a_password(hardened: Hardened, agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", "known")
    await _enter(hardened.settings(username=agent, password=SecretRef(env="KNOWN")), hardened.folder)
    monkeypatch.setenv("KNOWN", "guessed")
    with pytest.raises(BrokerError, match="does not let web-1 in"):
        await _enter(hardened.settings(username=agent, password=SecretRef(env="KNOWN")), hardened.folder)


async def test_by_a_certificate_that_says_who_it_is(hardened: Hardened, agent: str) -> None:
    """EXTERNAL: the certificate's common name is the user; of another authority it is nobody."""
    own = hardened.certificate(hardened.authority, agent)
    await _enter(hardened.settings(username=agent, **own), hardened.folder)
    foreign = hardened.certificate(trustme.CA(), agent)
    with pytest.raises(BrokerError):
        await _enter(hardened.settings(username=agent, **foreign), hardened.folder)


async def test_nothing_is_spoken_without_tls(hardened: Hardened, agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", "known")
    plain = RabbitMQSettings(url=hardened.broker.url("bellpull"), username=agent, password=SecretRef(env="KNOWN"))
    with pytest.raises(BrokerError):
        await _enter(plain, hardened.folder)
    said = await asyncio.to_thread(hardened.broker.ask, "GET", "overview")
    assert {each["protocol"] for each in said["listeners"] if "amqp" in each["protocol"]} == {"amqp/ssl"}


def test_a_node_begins_with_the_limits_and_without_a_user_that_everybody_knows(hardened: Hardened) -> None:
    (limits,) = hardened.broker.ask("GET", "vhost-limits/bellpull")
    assert limits["value"] == {"max-connections": 2000, "max-queues": 2000}
    made = [line for line in hardened.broker.log().splitlines() if f"Created user '{USER}'" in line]
    assert len(made) == 1, "the one that this test made"


def test_its_definitions_are_what_an_installation_shares() -> None:
    """`bellpull broker setup` finds them as they have to be, and adds who is enrolled."""
    definitions = json.loads((DEPLOY / "rabbitmq/definitions.json").read_bytes())
    assert "users" not in definitions
    sections: dict[str, list[object]] = {name: [] for name in ("users", "permissions", "topic_permissions")}
    assert things_of({**sections, **definitions}, "bellpull") == shared("bellpull")


def test_it_is_set_up_over_tls(hardened: Hardened, tmp_path: Path) -> None:
    assert bellpull("init", tmp_path).code == 0
    (tmp_path / "agents").mkdir()
    env = access(hardened.broker, "bellpull") | {
        "BELLPULL_BROKER_MANAGEMENT": f"https://localhost:{hardened.management}"
    }
    untrusted = bellpull("broker", "setup", "--yes", cwd=tmp_path, env=env)
    assert "its certificate is not trusted" in untrusted.err
    done = bellpull("broker", "setup", "--yes", "--ca", hardened.folder / "ca.pem", cwd=tmp_path, env=env)
    assert done.code == 0, done.err
    assert [line.split(" of ")[0].split(": ")[0] for line in done.out.splitlines()] == [
        "add     user bellpull_gateway",
        "add     permission",
    ]
    assert Name("bellpull") in {each["name"] for each in hardened.broker.ask("GET", "vhosts")}


def test_the_compose_file_is_one_and_what_it_mounts_is_there() -> None:
    schema = compose.schema(parts.need(compose))
    file = DEPLOY / "compose/compose.yaml"
    said = yaml.safe_load(file.read_text())
    assert [f"{error.json_path}: {error.message}" for error in Draft201909Validator(schema).iter_errors(said)] == []
    mounted = [each.split(":")[0] for service in said["services"].values() for each in service["volumes"]]
    ours = [each for each in mounted if each.startswith("../")]
    assert len(ours) == 3
    assert all((file.parent / each).is_file() for each in ours)
    assert {each for each in mounted if "/" not in each} == said["volumes"].keys()
    build = said["services"]["gateway"]["build"]
    assert (file.parent / build["context"] / build["dockerfile"]).is_file()
