"""`bellpull enroll --observer` admits other software, with the right to listen and no other, in a real RabbitMQ."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from bellpull.runtime.jose import load_pinned, load_private
from gateway.app.enrolment import load_enrolments
from gateway.app.observers import load_observers
from tests.cli.brokers import access, forget, knows
from tests.cli.command import Ended, bellpull
from tests.parts.rabbitmq import Broker

VHOST = "observing"
QUEUE = """
queue:
  rabbitmq: {{url: "{url}", username: observing_gateway, password: {{file: secrets/mq}}}}
"""
SITE = ("-r", "github.com/acme/site")

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
    def run(*words: object, **environment: str) -> Ended:
        return bellpull("enroll", *words, cwd=gateway, env={**access(broker, ""), **environment})

    return run


def _setup(gateway: Path, broker: Broker, *words: str) -> Ended:
    return bellpull("broker", "setup", "--yes", *words, cwd=gateway, env=access(broker, ""))


def _bound(broker: Broker, name: str) -> set[tuple[str, str]]:
    rows = broker.ask("GET", f"queues/{VHOST}/{quote(f'bellpull.observer.{name}')}/bindings")
    return {(row["source"], row["routing_key"]) for row in rows if row["source"]}


def test_it_gets_all_that_listening_needs_and_its_record_is_no_agents(
    enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    ended = enroll("--observer", "chat", *SITE, "-r", "https://git.example/a/b.git", "--type", "pushes")
    assert ended.code == 0, ended.err
    folder = gateway / "chat"
    assert ended.out == (folder / "observer.json").read_text()
    assert json.loads(ended.out) == {
        "installation": "bellpull",
        "url": broker.url(VHOST),
        "username": "chat",
        "password": "broker-password",
        "queue": "bellpull.observer.chat",
        "keys": "gateway-keys.json",
    }
    password = (folder / "broker-password").read_text().strip()
    assert (folder / "broker-password").stat().st_mode & 0o777 == 0o600
    assert password not in ended.out + ended.err
    assert knows(broker, VHOST, "chat", password)
    seal = load_private((gateway / "secrets/seal.jwk").read_bytes())
    assert list(load_pinned((folder / "gateway-keys.json").read_bytes())) == [seal.kid]
    assert _bound(broker, "chat") == {
        ("bellpull.notify.pushes", "github%2ecom.acme.site.*.*"),
        ("bellpull.notify.pushes", "git%2eexample.a.b.*.*"),
    }
    assert load_enrolments(gateway / "agents").records == {}
    (record,) = load_observers(gateway / "observers").records.values()
    assert (record.observer, record.types) == ("chat", ("pushes",))


def test_set_up_knows_it_and_prune_removes_it_without_its_record(
    enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    (gateway / "agents").mkdir()
    assert enroll("--observer", "chat", *SITE).code == 0
    assert _setup(gateway, broker, "--prune").code == 0
    assert _setup(gateway, broker, "--prune").err == f"virtual host {VHOST}: everything is there already\n"
    (gateway / "observers/chat.yaml").write_text("observer: [")
    assert "observers/chat.yaml: " in _setup(gateway, broker, "--prune").err
    (gateway / "observers/chat.yaml").unlink()
    pruned = _setup(gateway, broker, "--prune")
    assert {"remove  user chat (max-channels 16, max-connections 4)", "remove  queue bellpull.observer.chat"} <= {
        *pruned.out.splitlines()
    }
    assert not knows(broker, VHOST, "chat", (gateway / "chat/broker-password").read_text().strip())


def test_without_the_management_api_it_is_written_as_definitions(
    enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    ended = enroll("--observer", "chat", *SITE, BELLPULL_BROKER_MANAGEMENT="")
    assert ended.code == 0, ended.err
    broker.ask("POST", "definitions", json.loads((gateway / "chat-definitions.json").read_bytes()))
    assert knows(broker, VHOST, "chat", (gateway / "chat/broker-password").read_text().strip())
    assert len(_bound(broker, "chat")) == 2


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "a pattern that cannot be granted exactly": (
        ["--observer", "chat", "-r", "github.com/acme/*"],
        1,
        "say HOST/PATH, HOST/OWNER/**, HOST/**, */PATH or **",
    ),
    "a type that is none": (["--observer", "chat", *SITE, "--type", "gossip"], 1, "types[0]: "),
    "a type for an agent": (["web-1", *SITE, "--type", "pushes"], 2, "--type"),
    "the gateways' user": (
        ["--observer", "observing-gateway", *SITE],
        1,
        "observing-gateway is the gateways' own user",
    ),
    "an agent's name": (["--observer", "web-9", *SITE], 1, "web-9 is an agent's name"),
    "an observer's name for an agent": (["eye", *SITE], 1, "eye is an observer's name"),
    "an observer that is there": (["--observer", "eye", *SITE], 1, "to take its rights away"),
    "a name that is none": (["--observer", "../x", *SITE], 2, "NAME"),
}


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_before_anything_is_written(  # noqa: PLR0917  # a row of the table, and fixtures
    words: list[str], code: int, said: str, enroll: Enroll, gateway: Path, broker: Broker
) -> None:
    config = gateway / "gateway.yaml"
    config.write_text(config.read_text().replace("observing_gateway", "observing-gateway"))
    for folder, name in (("agents", "web-9"), ("observers", "eye")):
        (gateway / folder).mkdir()
        (gateway / folder / f"{name}.yaml").touch()
    before = sorted(gateway.rglob("*"))
    ended = enroll(*words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert sorted(gateway.rglob("*")) == before
    assert VHOST not in {each["name"] for each in broker.ask("GET", "vhosts")}


def test_it_needs_rabbitmq(enroll: Enroll, gateway: Path) -> None:
    config = yaml.safe_load((gateway / "gateway.yaml").read_text())
    del config["queue"]
    (gateway / "gateway.yaml").write_text(yaml.safe_dump(config))
    ended = enroll("--observer", "chat", *SITE)
    assert ended.code == 1
    assert "observers hear over RabbitMQ only, and there is no queue.rabbitmq" in ended.err
    assert not (gateway / "chat").exists()
