"""`bellpull check` for an agent with RabbitMQ: whether it is let in there and has its queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bellpull.cli.check_agent import look
from bellpull.contract.routing import agent_queue
from tests.agent.test_agent_config import GATEWAY as NEVER_ASKED
from tests.agent.test_agent_config import written
from tests.gateway.examples import WEB
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.rabbitmq import Broker


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "agent-checked", {WEB: ["github.com/acme/site"]}, GATEWAY) as made:
        yield made


@pytest.fixture
def config(tmp_path: Path, installation: Installed) -> Path:
    url = installation.broker.url(installation.vhost)
    queue = {"rabbitmq": {"url": url, "username": WEB, "password": {"file": "broker-password"}}}
    path = written(tmp_path, gateway=NEVER_ASKED, queue=queue)
    (tmp_path / "broker-password").write_text(WEB)
    return path


def found(config: Path) -> tuple[bool, str, str]:
    (finding,) = (each for each in look(config) if each.what == "queue.rabbitmq")
    return finding.ok, finding.found, finding.do


def test_an_agent_whose_queue_is_there(config: Path, installation: Installed) -> None:
    where = f"127.0.0.1:{installation.broker.port}, virtual host agent-checked"
    assert found(config) == (True, f"{where}: lets web-1 read bellpull.agent.web-1", "")


def test_a_queue_that_is_not_there(config: Path, installation: Installed) -> None:
    installation.broker.ask("DELETE", f"queues/{installation.vhost}/{agent_queue(WEB)}")
    ok, what, advice = found(config)
    assert (ok, "bellpull.agent.web-1 is not there" in what) == (False, True)
    assert "bellpull broker setup" in advice


def test_a_wrong_password(config: Path) -> None:
    (config.parent / "broker-password").write_text("wr0ng-word")
    ok, what, advice = found(config)
    assert (ok, "does not let web-1 in" in what, "wr0ng" in what) == (False, True, False)
    assert "bellpull enroll" in advice


def test_another_agents_queue(config: Path) -> None:
    """P3: it is named as refused, not as missing."""
    value = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(value | {"agent": "web-2"}))
    ok, what, _ = found(config)
    assert (ok, "bellpull.agent.web-2" in what) == (False, True)


def test_a_broker_that_is_away(config: Path) -> None:
    value = yaml.safe_load(config.read_text())
    value["queue"]["rabbitmq"]["url"] = "amqp://127.0.0.1:1/acme"
    config.write_text(yaml.safe_dump(value))
    ok, what, advice = found(config)
    assert (ok, "127.0.0.1:1: connection refused" in what, bool(advice)) == (False, True, True)
