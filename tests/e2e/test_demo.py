"""`bellpull demo` as a user, a build and an impatient user run it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import bellpull
from tests.e2e.left_over import processes
from tests.parts.rabbitmq import PASSWORD, USER, Broker

pytestmark = pytest.mark.usefixtures("git_programs")

_STEPS = ["push", "forged", "revert", "drift", "burst", "gateway-killed", "agent-away"]
_HOPS = ["accepted", "heard", "started", "finished"]


def test_the_demo_keeps_its_promises_and_says_so_in_one_object(tmp_path: Path) -> None:
    """`--ci -o json` ends with 0, one object on standard output, and nothing left behind, within 40 s."""
    began = time.monotonic()
    ended = bellpull("demo", "--ci", "-o", "json", env={"TMPDIR": str(tmp_path)})
    assert ended.code == 0, ended.err
    assert time.monotonic() - began < 40
    said = json.loads(ended.out)
    assert list(said) == ["ok", "steps", "hops_ms"]
    assert said["ok"] is True
    assert [step["name"] for step in said["steps"]] == _STEPS
    assert all(step.keys() == {"name", "ok", "ms"} and step["ok"] is True for step in said["steps"])
    assert all(step["ms"] > 0 for step in said["steps"])
    assert list(said["hops_ms"]) == _HOPS
    assert list(said["hops_ms"].values()) == sorted(said["hops_ms"].values())
    assert list(tmp_path.iterdir()) == []
    assert processes(str(tmp_path)) == []


def test_the_demo_keeps_its_promises_over_rabbitmq_and_leaves_nothing_there(broker: Broker, tmp_path: Path) -> None:
    """P12: the same steps; what it made in the broker is gone with it."""
    users, vhosts = broker.ask("GET", "users"), broker.ask("GET", "vhosts")
    (tmp_path / "password").write_text(PASSWORD)
    options = ("--management", broker.management, "--username", USER, "--password-file", str(tmp_path / "password"))
    ended = bellpull("demo", "--ci", "-o", "json", "--queue", f"amqp://127.0.0.1:{broker.port}", *options)
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert [(step["name"], step["ok"]) for step in said["steps"]] == [(name, True) for name in _STEPS]
    assert list(said["hops_ms"].values()) == sorted(said["hops_ms"].values())
    assert broker.ask("GET", "users") == users
    assert [each["name"] for each in broker.ask("GET", "vhosts")] == [each["name"] for each in vhosts]


def test_the_demo_says_what_it_needs_of_rabbitmq(broker: Broker) -> None:
    """And nothing is started."""
    url = f"amqp://127.0.0.1:{broker.port}"
    ended = bellpull("demo", "--ci", "--queue", url)
    assert (ended.code, "--management" in ended.err, "Traceback" in ended.err) == (1, True, False)
    options = ("--management", broker.management, "--username", USER)
    ended = bellpull("demo", "--ci", "--queue", url, *options, env={"BELLPULL_BROKER_PASSWORD": "wr0ng"})
    assert (ended.code, "401" in ended.err, "wr0ng" in ended.err) == (1, True, False)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "git is not installed (Debian, Ubuntu: apt-get install git)"),
        ("#!/bin/sh\necho /nowhere\n", "this git has no http-backend: /nowhere/git-http-backend is not there"),
    ],
    ids=["no git", "no http-backend"],
)
def test_the_demo_says_what_it_needs(script: str | None, says: str, tmp_path: Path) -> None:
    """Without Git, or with half of it, the demo ends with 1 and a line that says what to install."""
    path, temporary = tmp_path / "bin", tmp_path / "tmp"
    path.mkdir()
    temporary.mkdir()
    if script is not None:
        (path / "git").write_text(script)
        (path / "git").chmod(0o755)
    ended = bellpull("demo", "--ci", env={"PATH": str(path), "TMPDIR": str(temporary)})
    assert ended.code == 1
    assert f"the demo could not be set up: {says}" in ended.err
    assert "Traceback" not in ended.err
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("until", "number", "whole_group"),
    [
        ("clone/.git", signal.SIGINT, False),
        ("gateway.log", signal.SIGINT, True),
        ("web-1/site", signal.SIGINT, True),
        ("web-1/site", signal.SIGTERM, False),
    ],
    ids=["while it sets up", "Ctrl-C while it starts", "Ctrl-C while it runs", "ended by a build"],
)
def test_an_interrupted_demo_leaves_nothing(
    until: str, number: signal.Signals, whole_group: bool, tmp_path: Path
) -> None:
    """SIGINT or SIGTERM, whenever it comes, ends the demo with 130, its processes, and its folder."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "bellpull", "demo"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with demo:
        _await(tmp_path, f"*/{until}")
        (os.killpg if whole_group else os.kill)(demo.pid, number)
        said, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert b"Traceback" not in said
    assert b"never retrieved" not in said
    assert processes(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def _await(folder: Path, pattern: str) -> None:
    end = time.monotonic() + 20
    while not list(folder.glob(pattern)):
        assert time.monotonic() < end, f"{pattern} did not come"
        time.sleep(0.01)
