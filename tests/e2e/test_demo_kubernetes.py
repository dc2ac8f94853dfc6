"""`bellpull demo --kubernetes` as a user, a build and an impatient user run it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.agent.kubernetes.account import write_kubeconfig
from tests.cli.command import bellpull
from tests.e2e.left_over import processes
from tests.parts.control_plane import ControlPlane
from tests.parts.rabbitmq import PASSWORD, USER, Broker

pytestmark = pytest.mark.usefixtures("git_programs")

_STEPS: Final = [
    *("push", "forged", "revert", "drift", "burst", "gateway-killed", "agent-away"),
    *("workload", "refused", "not-ours", "apply-killed", "mass-deletion", "emptied"),
]


def namespaces(plane: ControlPlane) -> set[str]:
    """Return those of demos that nobody has deleted."""
    found = plane.ask("GET", "/api/v1/namespaces")["items"]
    stay = (each["metadata"] for each in found if "deletionTimestamp" not in each["metadata"])
    return {each["name"] for each in stay if each["name"].startswith("bellpull-demo-")}


def test_its_promises_are_kept_in_a_cluster_and_over_rabbitmq(
    control_plane: ControlPlane, broker: Broker, tmp_path: Path
) -> None:
    """Both at once; nothing of it is left, and where it is is said before anything happens there."""
    (tmp_path / "password").write_text(PASSWORD)
    queue = ("--queue", f"amqp://127.0.0.1:{broker.port}", "--management", broker.management)
    user = ("--username", USER, "--password-file", str(tmp_path / "password"))
    cluster = ("--kubernetes", "--kubeconfig", str(control_plane.kubeconfig), "--context", "tests")
    (tmp_path / "run").mkdir()
    ended = bellpull("demo", "--ci", "-o", "json", *queue, *user, *cluster, env={"TMPDIR": str(tmp_path / "run")})
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert [(step["name"], step["ok"]) for step in said["steps"]] == [(name, True) for name in _STEPS]
    assert list(said["hops_ms"].values()) == sorted(said["hops_ms"].values())
    assert f"The cluster is the one at {control_plane.url} (context tests of the kubeconfig)" in ended.err
    assert namespaces(control_plane) == set()
    assert list((tmp_path / "run").iterdir()) == []
    assert processes(str(tmp_path / "run")) == []


@pytest.mark.parametrize(
    ("until", "number"), [("gateway.log", signal.SIGINT), ("web-1/agent.yaml", signal.SIGTERM)], ids=["INT", "TERM"]
)
def test_an_interrupted_one_leaves_nothing(
    until: str, number: signal.Signals, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The namespace goes with the rest."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "bellpull", "demo", "--kubernetes"],
        env=os.environ | {"TMPDIR": str(tmp_path), "KUBECONFIG": str(control_plane.kubeconfig)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with demo:
        end = time.monotonic() + 20
        while not list(tmp_path.glob(f"*/{until}")):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert len(namespaces(control_plane)) == 1
        os.killpg(demo.pid, number)
        said, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert b"Traceback" not in said
    assert namespaces(control_plane) == set()
    assert processes(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def nowhere(_: ControlPlane, __: str, ___: Path) -> Mapping[str, str]:
    return {"KUBECONFIG": "/nowhere"}


def away(plane: ControlPlane, _: str, folder: Path) -> Mapping[str, str]:
    path = folder / "kubeconfig"
    path.write_text(plane.kubeconfig.read_text().replace(plane.url, "https://127.0.0.1:1"))
    return {"KUBECONFIG": str(path)}


def without_rights(plane: ControlPlane, namespace: str, folder: Path) -> Mapping[str, str]:
    return {"KUBECONFIG": str(write_kubeconfig(plane, namespace, folder / "kubeconfig"))}


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (nowhere, "/nowhere"),
        (nowhere, "Name a cluster with --kubeconfig FILE"),
        (away, "https://127.0.0.1:1: cannot be reached"),
        (away, "kind create cluster"),
        (without_rights, "add to a ClusterRole, bound to system:serviceaccount:"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_said_before_anything_is_started(
    cluster: Callable[[ControlPlane, str, Path], Mapping[str, str]],
    says: str,
    control_plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
) -> None:
    """And what to do."""
    (tmp_path / "run").mkdir()
    env = {"TMPDIR": str(tmp_path / "run"), **cluster(control_plane, namespace, tmp_path)}
    ended = bellpull("demo", "--kubernetes", "--ci", env=env)
    assert (ended.code, says in ended.err, "Traceback" in ended.err) == (1, True, False), ended.err
    assert namespaces(control_plane) == set()


def test_a_cluster_is_not_used_unless_that_was_said() -> None:
    """An option that names one is not enough."""
    ended = bellpull("demo", "--context", "production", "--ci")
    assert (ended.code, "--kubernetes" in ended.err) == (2, True)
