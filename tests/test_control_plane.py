"""The control plane that tests are run against is a real one: rights, accounts, controllers, counted requests."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.parts.control_plane import Asked, ControlPlane


def until(look: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not look():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_who_has_no_right_is_refused(control_plane: ControlPlane, namespace: str) -> None:
    """RBAC is on."""
    token = control_plane.ask(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )["status"]["token"]
    control_plane._tokens["default"] = token
    with pytest.raises(HTTPError) as refused:
        control_plane.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps", user="default")
    assert refused.value.code == 403
    assert f"system:serviceaccount:{namespace}:default" in refused.value.read().decode()


def test_controllers_work(control_plane: ControlPlane, namespace: str) -> None:
    """A Deployment gets its ReplicaSet, which goes with it; pods stay as nobody runs them, until a test says so."""
    labels = {"app": "web"}
    container = {"name": "web", "image": "example.org/web:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    apps = f"/apis/apps/v1/namespaces/{namespace}"
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    control_plane.ask("POST", f"{apps}/deployments", web)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    until(lambda: bool(control_plane.ask("GET", pods)["items"]), "no pod was made")
    pod = control_plane.ask("GET", pods)["items"][0]["metadata"]["name"]
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    control_plane.say_status(f"{pods}/{pod}", ready)
    until(
        lambda: control_plane.ask("GET", f"{apps}/deployments/web")["status"].get("readyReplicas") == 1,
        "the Deployment did not see its pod",
    )
    control_plane.ask("DELETE", f"{apps}/deployments/web")
    until(lambda: not control_plane.ask("GET", f"{apps}/replicasets")["items"], "the ReplicaSet stayed")


def test_a_namespace_that_is_deleted_goes_away(control_plane: ControlPlane) -> None:
    with control_plane.namespace("short-lived") as name:
        path = f"/api/v1/namespaces/{name}"
    until(lambda: control_plane.seen(path) is None, "the namespace stayed")


def test_requests_are_counted(control_plane: ControlPlane, namespace: str) -> None:
    """Exactly, as soon as they were answered."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    mark = control_plane.audit.mark()
    for number in range(7):
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"a-{number}"}}
        control_plane.ask("POST", path, item)
    seen = control_plane.audit.since(mark, lambda asked: asked.user == "admin" and namespace in asked.path)
    assert [(each.verb, each.status) for each in seen] == [("create", 201)] * 7
    assert isinstance(seen[0], Asked)


STREAMING_LIST = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"


def test_a_list_can_be_streamed(control_plane: ControlPlane, namespace: str) -> None:
    """What is there comes first, and then a bookmark that says so."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts?{STREAMING_LIST}&timeoutSeconds=1"
    events = control_plane.streamed(path)
    assert [each["type"] for each in events[:2]] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"


def test_on_an_old_etcd_a_streaming_list_is_refused_inside_the_stream(
    control_plane_programs: Path, old_etcd: Path, tmp_path: Path
) -> None:
    """The answer is 200, and its one event an error 500: whoever streams lists must take that answer too."""
    plane = ControlPlane(control_plane_programs, tmp_path, etcd=old_etcd)
    plane.start()
    try:
        (event,) = plane.streamed(f"/api/v1/configmaps?{STREAMING_LIST}&timeoutSeconds=2")
    finally:
        plane.stop()
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (500, "InternalError")
    assert "RequestWatchProgress" in event["object"]["message"]


def test_a_person_gets_one_until_ctrl_c() -> None:
    """`make cluster` prints where the kubeconfig is; with its end all is gone."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.control_plane"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        kubeconfig = Path(cluster.stdout.readline().strip())
        try:
            assert "token" in kubeconfig.read_text()
        finally:
            cluster.send_signal(signal.SIGINT)
            _, said = cluster.communicate(timeout=60)
    assert cluster.returncode == 0, said
    assert f"export KUBECONFIG={kubeconfig}" in said
    assert not kubeconfig.parent.exists()
    assert not _running(kubeconfig.parent)


def test_nothing_is_left_of_one_whose_tests_were_killed(control_plane_programs: Path, tmp_path: Path) -> None:
    """Whoever starts one and dies takes it along."""
    script = (
        "import sys, time; from pathlib import Path; from tests.parts.control_plane import ControlPlane\n"
        f"plane = ControlPlane(Path({str(control_plane_programs)!r}), Path({str(tmp_path)!r}))\n"
        "plane.start(); print('up', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        starter.send_signal(signal.SIGKILL)
    until(lambda: not _running(tmp_path), "its programs stayed")


def _running(folder: Path) -> list[str]:
    """Return the programs whose working directory is `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "comm").read_text())
        except OSError:
            continue
    return found
