"""`bellpull broker`: setting up a real RabbitMQ shows, asks, makes what is missing, and never shows a password."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bellpull.cli import broker_setup
from bellpull.cli.broker_access import Access
from tests.cli.brokers import access, forget, knows
from tests.cli.command import Ended, bellpull
from tests.parts.rabbitmq import PASSWORD, USER, Broker

VHOST = "cli"
GATEWAY = "bellpull_gateway"


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder with an agent `cli-1`."""
    folder = tmp_path_factory.mktemp("gateway")
    assert bellpull("init", folder).code == 0
    _enroll(folder, "cli-1", "github.com/acme/*")
    return folder


@pytest.fixture
def gateway(enrolled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(enrolled, tmp_path / "gateway"))


def _enroll(gateway: Path, name: str, *repositories: str) -> None:
    words = [word for each in repositories for word in ("-r", each)]
    assert bellpull("enroll", name, *words, cwd=gateway).code == 0


@pytest.fixture
def setup(gateway: Path, broker: Broker) -> Iterator[Callable[..., Ended]]:
    """`bellpull broker setup` in the gateway's folder; all that it made goes afterwards."""

    def run(*words: object, **environment: str) -> Ended:
        return bellpull("broker", "setup", *words, cwd=gateway, env={**access(broker, VHOST), **environment})

    yield run
    forget(broker, VHOST)


def test_what_is_missing_is_shown_made_and_not_made_again(setup: Callable[..., Ended], broker: Broker) -> None:
    """R21."""
    first = setup("--yes")
    assert first.code == 0, first.err
    shown = first.out.splitlines()
    assert f"add     virtual host {VHOST}" in shown
    assert "add     queue bellpull.agent.cli-1" in shown
    assert "add     binding bellpull.events -> bellpull.agent.cli-1: github%2ecom.acme.*.*.*" in shown
    assert all(line.startswith("add     ") for line in shown)
    assert f"virtual host {VHOST}: {len(shown)} made, 0 changed, 0 removed" in first.err
    assert {each["name"] for each in broker.ask("GET", f"queues/{VHOST}")} == {
        "bellpull.agent.cli-1",
        "bellpull.dead-letters",
    }
    again = setup()
    assert (again.code, again.out) == (0, "")
    assert again.err == f"virtual host {VHOST}: everything is there already\n"


def test_many_things_are_made_in_parts(
    setup: Callable[..., Ended], gateway: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part has what it needs: it is made before, or is in it."""
    monkeypatch.chdir(gateway)
    monkeypatch.setattr(broker_setup, "_AT_ONCE", 3)
    monkeypatch.setenv("BELLPULL_BROKER_PASSWORD", PASSWORD)
    plan = broker_setup.Plan.of(Path("gateway.yaml"), vhost=VHOST, gateway=GATEWAY, out=Path())
    broker_setup.make(plan, Access(broker.management, USER, None, None), prune=False, ask=False)
    assert setup().err == f"virtual host {VHOST}: everything is there already\n"


def test_an_agent_more_adds_and_one_less_goes_with_prune_only(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    assert setup("--yes").code == 0
    _enroll(gateway, "cli-2", "git.example/site")
    more = setup("--yes")
    assert more.code == 0, more.err
    assert all("cli-2" in line and line.startswith("add ") for line in more.out.splitlines())
    (gateway / "agents/cli-1.yaml").unlink()

    kept = setup()
    assert (kept.code, kept.out) == (0, "")
    assert "not wanted any more: queue bellpull.agent.cli-1" in kept.err
    assert "--prune removes what is not wanted any more" in kept.err
    assert "cli-1" in _users(broker)

    pruned = setup("--prune", "--yes")
    assert pruned.code == 0, pruned.err
    assert all("cli-1" in line and line.startswith("remove ") for line in pruned.out.splitlines())
    assert _users(broker) & {"cli-1", "cli-2", GATEWAY, USER} == {"cli-2", GATEWAY, USER}
    assert "bellpull.agent.cli-1" not in {each["name"] for each in broker.ask("GET", f"queues/{VHOST}")}


def test_new_users_have_a_password_that_only_a_file_knows(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    ended = setup("--yes")
    for user, path in {
        "cli-1": gateway / "cli-1/broker-password",
        GATEWAY: gateway / "secrets/broker-password",
    }.items():
        password = path.read_text().strip()
        assert len(password) >= 40
        assert path.stat().st_mode & 0o777 == 0o600
        assert password not in ended.out + ended.err
        assert knows(broker, VHOST, user, password)
        assert not knows(broker, VHOST, user, f"{password}x")


def test_a_password_that_is_there_is_taken(setup: Callable[..., Ended], gateway: Path) -> None:
    """So that a run that was cut short before the user was made can be done again."""
    (gateway / "cli-1/broker-password").write_text("kept\n")
    (gateway / "cli-1/broker-password").chmod(0o600)
    assert setup("--yes").code == 0
    assert (gateway / "cli-1/broker-password").read_text() == "kept\n"


def test_nothing_is_made_unless_somebody_agrees(setup: Callable[..., Ended], gateway: Path, broker: Broker) -> None:
    nobody = setup()
    assert nobody.code == 1
    assert "add     queue bellpull.agent.cli-1" in nobody.out
    assert nobody.err == "nothing was done: there is nobody to ask; say --yes\n"
    assert VHOST not in {each["name"] for each in broker.ask("GET", "vhosts")}
    assert not (gateway / "cli-1/broker-password").exists()
    assert _asked(gateway, broker, "n") == 1
    assert VHOST not in {each["name"] for each in broker.ask("GET", "vhosts")}
    assert _asked(gateway, broker, "y") == 0
    assert VHOST in {each["name"] for each in broker.ask("GET", "vhosts")}


def _asked(gateway: Path, broker: Broker, answer: str) -> int:
    """Return how a set-up ended that a person at a terminal answered so."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "bellpull", "broker", "setup"],
            cwd=gateway,
            env={**os.environ, **access(broker, VHOST)},
            stdin=theirs,
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"go on?" in done.stderr
    return done.returncode


def test_a_user_that_somebody_else_made_is_not_taken_over(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    broker.ask("PUT", "users/cli-1", {"password": "known", "tags": "management"})
    try:
        ended = setup("--yes")
        assert ended.code == 1
        assert ended.err.splitlines() == [
            "user cli-1: is there, and not this installation's: remove it, or use another name",
            f"nothing was done in the virtual host {VHOST}",
        ]
        assert VHOST not in {each["name"] for each in broker.ask("GET", "vhosts")}
        assert not (gateway / "cli-1/broker-password").exists()
    finally:
        broker.ask("DELETE", "users/cli-1")


def test_a_virtual_host_of_another_installation_is_left_alone(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    """With --prune above all: its queues have our prefix, too."""
    assert setup("--yes").code == 0
    before = broker.ask("GET", f"definitions/{VHOST}")
    config = gateway / "gateway.yaml"
    config.write_text(config.read_text().replace("installation: bellpull", "installation: other"))
    ended = setup("--yes", "--prune")
    assert ended.code == 1
    assert f"virtual host {VHOST} is another installation's (bellpull.bellpull)" in ended.err
    assert broker.ask("GET", f"definitions/{VHOST}") == before


def test_a_record_that_cannot_be_read_is_left_out_and_stops_pruning(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    _enroll(gateway, "cli-2", "git.example/site")
    assert setup("--yes").code == 0
    (gateway / "agents/cli-2.yaml").write_text("agent: [")
    added = setup("--yes")
    assert added.code == 0
    assert "left out: agents/cli-2.yaml: " in added.err
    pruned = setup("--yes", "--prune")
    assert pruned.code == 1
    assert "nothing was done: --prune would remove agents whose records cannot be read" in pruned.err
    assert "cli-2" in _users(broker)


def test_definitions_hold_everything_and_no_password(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    """They are imported by RabbitMQ's own means, and then nothing is left to do."""
    ended = setup("--definitions", "-", BELLPULL_BROKER_MANAGEMENT="")
    assert ended.code == 0, ended.err
    definitions = json.loads(ended.out)
    password = (gateway / "cli-1/broker-password").read_text().strip()
    assert password not in ended.out + ended.err
    assert {each["hashing_algorithm"] for each in definitions["users"]} == {"rabbit_password_hashing_sha256"}
    assert not any("password" in each for each in definitions["users"])
    broker.ask("POST", "definitions", definitions)
    assert setup().err == f"virtual host {VHOST}: everything is there already\n"
    assert knows(broker, VHOST, "cli-1", password)


def test_definitions_go_to_a_file_of_ones_own(setup: Callable[..., Ended], gateway: Path) -> None:
    ended = setup("--definitions", "all.json")
    assert (ended.code, ended.out) == (0, "")
    assert (gateway / "all.json").stat().st_mode & 0o777 == 0o600
    assert {each["name"] for each in json.loads((gateway / "all.json").read_bytes())["users"]} == {"cli-1", GATEWAY}


@pytest.mark.parametrize(
    ("words", "environment", "line"),
    [
        ([], {"BELLPULL_BROKER_PASSWORD": "hunter2"}, "guest is refused (401"),
        (["--password-file", "nowhere"], {}, "--password-file: nowhere cannot be read: no such file or directory"),
        (["--management", "http://guest:hunter2@localhost"], {}, "--management has a user or password in it"),
        (["--management", "http://mq.example.org"], {}, "--management would send the password over a network"),
        (["--ca", "nowhere.pem", "--management", "https://localhost"], {}, "--ca: nowhere.pem cannot be used"),
        (["--gateway-user", "cli-1"], {}, "cli-1 is an agent: the gateways need a user of another name"),
        (["--prune", "--definitions", "-"], {}, "--prune needs the management API"),
        (["--config", "nowhere.yaml"], {}, "nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_and_no_password_is_shown(
    setup: Callable[..., Ended], words: list[str], environment: dict[str, str], line: str
) -> None:
    ended = setup("--yes", *words, **environment)
    assert ended.code == 1
    assert line in ended.err
    assert "hunter2" not in ended.err
    assert "Traceback" not in ended.err


def test_dead_letters_are_shown_and_stay_until_they_are_purged(
    setup: Callable[..., Ended], gateway: Path, broker: Broker
) -> None:
    """R20: a person looks, and decides."""
    assert setup("--yes").code == 0

    def look(*words: object) -> Ended:
        return bellpull("broker", "dead-letters", *words, cwd=gateway, env=access(broker, VHOST))

    assert look().err == "there are no dead letters\n"
    for number in range(3):
        _publish(broker, f"m-{number}\x1b[2J")
    for _ in range(2):
        shown = look("--count", 2)
        assert [line.split("  ")[1:4] for line in shown.out.splitlines()] == [
            ["rejected", "bellpull.agent.cli-1", "m-0?[2J"],
            ["rejected", "bellpull.agent.cli-1", "m-1?[2J"],
        ]
        assert shown.err == "2 shown, 1 more\n"
    assert look("--purge").code == 1
    assert look("--purge", "--yes").err.splitlines() == ["3 shown, 0 more", "deleted"]
    assert look().err == "there are no dead letters\n"


def _publish(broker: Broker, message_id: str) -> None:
    """Put a message among the dead letters as RabbitMQ does."""
    headers: dict[str, Any] = {"x-first-death-reason": "rejected", "x-first-death-queue": "bellpull.agent.cli-1"}
    message = {
        "properties": {"message_id": message_id, "headers": headers},
        "routing_key": "k",
        "payload": "body",
        "payload_encoding": "string",
    }
    path = f"exchanges/{VHOST}/{quote('bellpull.dead-letters')}/publish"
    assert broker.ask("POST", path, message) == {"routed": True}


def _users(broker: Broker) -> set[str]:
    return {each["name"] for each in broker.ask("GET", "users")}


def test_the_verb_alone_says_what_there_is(tmp_path: Path) -> None:
    ended = bellpull("broker", cwd=tmp_path)
    assert ended.code == 2
    assert "dead-letters" in ended.err


def test_a_user_of_before_there_were_limits_gets_them(setup: Callable[..., Ended], broker: Broker) -> None:
    """The password stays as it is."""
    assert setup("--yes").code == 0
    for limit in ("max-connections", "max-channels"):
        broker.ask("DELETE", f"user-limits/cli-1/{limit}")
    before = broker.ask("GET", "users/cli-1")["password_hash"]
    ended = setup("--yes")
    assert ended.out == "change  user cli-1 (max-channels 16, max-connections 4)\n"
    limits = {each["user"]: each["value"] for each in broker.ask("GET", "user-limits")}
    assert limits["cli-1"] == {"max-channels": 16, "max-connections": 4}
    assert broker.ask("GET", "users/cli-1")["password_hash"] == before
    assert setup().out == ""
