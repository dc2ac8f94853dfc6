"""`bellpull enroll` where the gateway speaks over RabbitMQ: a real management API makes the agent's user."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from agent.app.config import load_config
from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.connect import connect
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from tests.cli.brokers import access, forget, knows
from tests.cli.command import Ended, bellpull
from tests.parts.rabbitmq import PASSWORD, USER, Broker

VHOST = "enrolled"
QUEUE = """
queue:
  rabbitmq: {{url: "{url}", username: enrolled_gateway, password: {{file: secrets/mq}}}}
"""

Enroll = Callable[..., Ended]


@pytest.fixture
def gateway(tmp_path: Path, broker: Broker) -> Iterator[Path]:
    assert bellpull("init", tmp_path).code == 0
    with (tmp_path / "gateway.yaml").open("a") as config:
        config.write(QUEUE.format(url=broker.url(VHOST)))
    yield tmp_path
    forget(broker, VHOST)


@pytest.fixture
def enroll(gateway: Path, broker: Broker) -> Enroll:
    def run(*words: object, name: str = "enr-1", **environment: str) -> Ended:
        env = {**access(broker, "said otherwise"), **environment}
        return bellpull("enroll", name, "-r", "github.com/acme/site", *words, cwd=gateway, env=env)

    return run


def _password(gateway: Path, name: str = "enr-1") -> str:
    return (gateway / name / "broker-password").read_text().strip()


def _bound(broker: Broker, name: str = "enr-1") -> set[str]:
    rows = broker.ask("GET", f"queues/{VHOST}/{quote(f'bellpull.agent.{name}')}/bindings")
    return {row["routing_key"] for row in rows if row["source"] == "bellpull.events"}


def test_the_agents_user_is_made_with_what_its_configuration_says(
    enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    """P3, P12: the agent's machine gets its own password, in a file, and nobody else's."""
    ended = enroll()
    assert ended.code == 0, ended.err
    assert f"made  user enr-1 and its queue in RabbitMQ's virtual host {VHOST}" in ended.err
    said = yaml.safe_load(ended.out)["queue"]["rabbitmq"]
    assert RabbitMQSettings.model_validate(said) == RabbitMQSettings(
        url=broker.url(VHOST), username="enr-1", password=SecretRef(file=Path("broker-password"))
    )
    queue = load_config(gateway / "enr-1/agent.yaml").queue
    assert queue is not None
    assert (queue.rabbitmq.username, queue.rabbitmq.url) == ("enr-1", broker.url(VHOST))
    path = gateway / "enr-1/broker-password"
    assert path.stat().st_mode & 0o777 == 0o600
    assert knows(broker, VHOST, "enr-1", _password(gateway))
    shown = ended.out + ended.err + (gateway / "agents/enr-1.yaml").read_text()
    assert _password(gateway) not in shown
    assert PASSWORD not in ended.out + ended.err
    (rights,) = broker.ask("GET", "users/enr-1/permissions")
    assert (rights["configure"], rights["read"]) == ("^$", r"^bellpull\.agent\.enr-1$")
    assert {each["exchange"] for each in broker.ask("GET", "users/enr-1/topic-permissions")} == {
        "bellpull.reports",
        "bellpull.heartbeats",
        "bellpull.events",
        "bellpull.notify.pushes",
        "bellpull.notify.outcomes",
    }


def test_after_it_only_the_gateways_own_user_is_missing(enroll: Enroll, gateway: Path, broker: Broker) -> None:
    """The virtual host, the user and its password are those of `queue.rabbitmq`, if no option says otherwise."""
    assert enroll().code == 0
    env = {**access(broker, ""), "BELLPULL_BROKER_VHOST": ""}
    added = bellpull("broker", "setup", "--yes", cwd=gateway, env=env)
    assert added.code == 0, added.err
    assert added.out.splitlines()[0] == "add     user enrolled_gateway"
    assert all("enrolled_gateway" in line for line in added.out.splitlines())
    assert knows(broker, VHOST, "enrolled_gateway", (gateway / "secrets/mq").read_text().strip())
    again = bellpull("broker", "setup", "--prune", cwd=gateway, env=env)
    assert again.err == f"virtual host {VHOST}: everything is there already\n"
    assert knows(broker, VHOST, "enr-1", _password(gateway))


def test_without_the_management_api_it_is_written_as_definitions(
    enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    ended = enroll(BELLPULL_BROKER_MANAGEMENT="")
    assert ended.code == 0, ended.err
    path = gateway / "enr-1-definitions.json"
    assert "wrote enr-1-definitions.json: bring it to the broker" in ended.err
    assert path.stat().st_mode & 0o777 == 0o600
    definitions: dict[str, Any] = json.loads(path.read_bytes())
    assert [each["name"] for each in definitions["users"]] == ["enr-1"]
    assert _password(gateway) not in path.read_text() + ended.out + ended.err
    broker.ask("POST", "definitions", definitions)
    assert knows(broker, VHOST, "enr-1", _password(gateway))


def test_a_renewed_agent_has_a_new_password_and_what_its_new_record_says(
    enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    """R21, R26."""
    assert enroll("-r", "github.com/acme/lib").code == 0
    before = _password(gateway)
    assert "github%2ecom.acme.lib.*.*" in _bound(broker)
    (gateway / "agents/enr-1.yaml").unlink()
    (gateway / "enr-1").rename(gateway / "before")
    ended = enroll()
    assert ended.code == 0, ended.err
    assert not knows(broker, VHOST, "enr-1", before)
    assert knows(broker, VHOST, "enr-1", _password(gateway))
    assert _bound(broker) == {"agent.enr-1", "github%2ecom.acme.site.*.*"}


def test_an_agent_without_a_record_goes_with_prune(enroll: Enroll, gateway: Path, broker: Broker) -> None:
    assert enroll().code == 0
    (gateway / "agents/enr-1.yaml").unlink()
    env = {**access(broker, ""), "BELLPULL_BROKER_VHOST": ""}
    pruned = bellpull("broker", "setup", "--prune", "--yes", cwd=gateway, env=env)
    assert "remove  user enr-1" in pruned.out
    assert not knows(broker, VHOST, "enr-1", _password(gateway))


def test_the_authority_that_the_gateway_trusts_comes_along(enroll: Enroll, gateway: Path) -> None:
    config = gateway / "gateway.yaml"
    secure = config.read_text().replace("amqp://", "amqps://").replace("username: e", "ca: mq.pem, username: e")
    config.write_text(secure)
    (gateway / "mq.pem").write_text("an authority")
    ended = enroll(BELLPULL_BROKER_MANAGEMENT="")
    assert ended.code == 0, ended.err
    assert yaml.safe_load(ended.out)["queue"]["rabbitmq"]["ca"] == "broker-ca.pem"
    assert (gateway / "enr-1/broker-ca.pem").read_text() == "an authority"


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"BELLPULL_BROKER_PASSWORD": "hunter2"}, "guest is refused (401"),
        ({"BELLPULL_BROKER_MANAGEMENT": "http://127.0.0.1:1"}, "is this RabbitMQ's management API?"),
    ],
)
def test_where_rabbitmq_does_not_answer_nothing_is_written(
    environment: dict[str, str], line: str, enroll: Enroll, gateway: Path
) -> None:
    before = sorted(gateway.rglob("*"))
    ended = enroll(**environment)
    assert (ended.code, ended.out) == (1, "")
    assert line in ended.err
    assert "hunter2" not in ended.err
    assert sorted(gateway.rglob("*")) == before


def test_a_user_that_somebody_else_made_is_not_taken_over(enroll: Enroll, gateway: Path, broker: Broker) -> None:
    broker.ask("PUT", f"users/{USER}-like", {"password": "known", "tags": "management"})
    try:
        before = sorted(gateway.rglob("*"))
        ended = enroll(name=f"{USER}-like")
        assert ended.code == 1
        assert f"user {USER}-like: is there, and not this installation's" in ended.err
        assert sorted(gateway.rglob("*")) == before
    finally:
        broker.ask("DELETE", f"users/{USER}-like")


async def test_who_is_logged_in_with_the_old_password_is_cut_off(
    enroll: Enroll, gateway: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential that was seen by somebody is of no use from then on, also where it is in use."""
    assert (await asyncio.to_thread(enroll)).code == 0
    settings = RabbitMQSettings(url=broker.url(VHOST), username="enr-1", password=SecretRef(env="OLD"))
    monkeypatch.setenv("OLD", _password(gateway))
    (gateway / "agents/enr-1.yaml").unlink()
    (gateway / "enr-1").rename(gateway / "before")
    async with connect(settings, gateway, "test") as connection:
        assert (await asyncio.to_thread(enroll)).code == 0
        assert connection.transport is not None
        done, _ = await asyncio.wait([connection.transport.connection.closing], timeout=30)
    assert done
