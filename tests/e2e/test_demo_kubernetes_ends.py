"""How `bellpull demo --kubernetes` ends: nothing stays in a cluster, or it says how to delete that."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from agent.adapters.kubernetes.client import connect
from bellpull.cli.demo.namespace import Namespace
from tests.agent.kubernetes.account import write_kubeconfig
from tests.cli.command import bellpull
from tests.e2e.kube_front import kube_front
from tests.e2e.left_over import processes
from tests.e2e.test_demo_kubernetes import namespaces
from tests.parts.control_plane import ControlPlane

pytestmark = pytest.mark.usefixtures("git_programs")

_INTERRUPTED = 130


@contextmanager
def demo(folder: Path, kubeconfig: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run it with its files in `folder`; what it says goes to `said` there."""
    (folder / "run").mkdir()
    with (folder / "said").open("wb") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "bellpull", "demo", "--kubernetes", "--ci"],
            env=os.environ | {"TMPDIR": str(folder / "run"), "KUBECONFIG": str(kubeconfig)} | more,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


async def ended(running: subprocess.Popen[bytes], folder: Path) -> tuple[int, str]:
    """Return the exit code and what was said, once it has ended."""
    code = await asyncio.to_thread(running.wait, 50)
    return code, (folder / "said").read_text()


async def there(folder: Path, pattern: str) -> None:
    """Wait for a file below the demo's folder."""
    await asyncio.to_thread(until, lambda: bool(list((folder / "run").glob(pattern))))


def gone(plane: ControlPlane, name: str) -> None:
    """Wait until there is no such namespace. Blocks."""
    until(lambda: name not in {each["metadata"]["name"] for each in plane.ask("GET", "/api/v1/namespaces")["items"]})


def until(holds: Callable[[], bool]) -> None:
    """Wait. Blocks."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def interrupt(running: subprocess.Popen[bytes]) -> None:
    os.killpg(running.pid, signal.SIGINT)


@pytest.mark.parametrize("second", ["at once", "a moment later", "while it deletes"])
async def test_a_second_interruption_changes_nothing(
    second: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The deletion comes to its end, and its word; the exit code is that of the first."""
    async with kube_front(control_plane, tmp_path, late=["DELETE"]) as front:
        with demo(tmp_path, front.kubeconfig) as running:
            await there(tmp_path, "*/gateway.log")
            interrupt(running)
            if second == "a moment later":
                await asyncio.sleep(0.1)
            if second == "while it deletes":
                await front.sees("DELETE")
                await asyncio.sleep(0.2)
            interrupt(running)
            code, said = await ended(running, tmp_path)
    assert (code, "Traceback" in said) == (_INTERRUPTED, False), said
    assert " is deleted, with all that was in it." in said
    assert namespaces(control_plane) == set()
    assert list((tmp_path / "run").iterdir()) == []
    assert processes(str(tmp_path / "run")) == []


async def test_an_interruption_while_it_deletes_waits_for_the_end(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Also where it is the first: a demo that ended by itself, as one without Git does, is deleting already."""
    (tmp_path / "bin").mkdir()
    async with kube_front(control_plane, tmp_path, late=["DELETE"]) as front:
        with demo(tmp_path, front.kubeconfig, PATH=str(tmp_path / "bin")) as running:
            await front.sees("DELETE")
            interrupt(running)
            await asyncio.sleep(0.1)
            interrupt(running)
            code, said = await ended(running, tmp_path)
    assert (code, "Traceback" in said) == (_INTERRUPTED, False), said
    assert " is deleted, with all that was in it." in said
    assert namespaces(control_plane) == set()


async def test_an_interruption_while_the_namespace_is_made_leaves_none(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """And which cluster is used, by which context, was said before anything was made there."""
    async with kube_front(control_plane, tmp_path, late=["POST"]) as front:
        with demo(tmp_path, front.kubeconfig) as running:
            await front.sees("POST")
            assert namespaces(control_plane) == set()
            before = (tmp_path / "said").read_text()
            interrupt(running)
            code, said = await ended(running, tmp_path)
    assert f"The cluster is the one at {front.url} (context tests of the kubeconfig)." in before
    assert "makes the namespace bellpull-demo-" in before
    assert (code, "Traceback" in said) == (_INTERRUPTED, False), said
    assert front.seen.count("POST") == front.seen.count("DELETE") == 1
    assert namespaces(control_plane) == set()


async def test_a_namespace_whose_making_was_never_answered_is_deleted(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """It is found by its mark."""
    async with kube_front(control_plane, tmp_path, lost=["POST"]) as front:
        with demo(tmp_path, front.kubeconfig) as running:
            code, said = await ended(running, tmp_path)
    assert (code, "Traceback" in said) == (1, False), said
    assert front.seen.count("POST") == 1
    assert " is deleted, with all that was in it." in said
    assert namespaces(control_plane) == set()


async def test_a_deletion_without_an_answer_says_how_to_delete_it(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """With a command that names the context, too."""
    async with kube_front(control_plane, tmp_path, lost=["DELETE"]) as front:
        with demo(tmp_path, front.kubeconfig) as running:
            await there(tmp_path, "*/gateway.log")
            interrupt(running)
            code, said = await ended(running, tmp_path)
    assert (code, "Traceback" in said) == (_INTERRUPTED, False), said
    assert "may still be there" in said
    assert "delete it: kubectl --context=tests delete namespace bellpull-demo-" in said


def test_without_the_right_to_delete_nothing_is_made(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """And the rule that is missing is said."""
    rbac = "rbac.authorization.k8s.io"
    root = f"/apis/{rbac}/v1"
    rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "get"]}
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": namespace}, "rules": [rule]}
    who = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    bound = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": namespace}}
    control_plane.ask("POST", f"{root}/clusterroles", role)
    control_plane.ask(
        "POST",
        f"{root}/clusterrolebindings",
        {**bound, "subjects": [who], "roleRef": {"name": namespace, "apiGroup": rbac, "kind": "ClusterRole"}},
    )
    kubeconfig = write_kubeconfig(control_plane, namespace, tmp_path / "kubeconfig")
    said = bellpull("demo", "--kubernetes", "--ci", "--kubeconfig", kubeconfig)
    assert said.code == 1
    assert f"bound to system:serviceaccount:{namespace}:default: " in said.err
    assert '{apiGroups: [""], resources: ["namespaces"], verbs: ["delete"]}' in said.err
    assert 'verbs: ["create"]' not in said.err
    assert namespaces(control_plane) == set()


async def test_only_the_namespace_that_it_made_is_deleted(control_plane: ControlPlane) -> None:
    """Not one that somebody made under its name since."""
    words: list[str] = []
    async with connect(control_plane.kubeconfig, "tests") as client:
        own = Namespace(client, {}, words.append)
        await own.make()
        path = f"/api/v1/namespaces/{own.name}"
        try:
            control_plane.ask("DELETE", path)
            await asyncio.to_thread(gone, control_plane, own.name)
            control_plane.ask(
                "POST",
                "/api/v1/namespaces",
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own.name}},
            )
            await own.remove()
            assert own.name in namespaces(control_plane)
        finally:
            control_plane.ask("DELETE", path)


async def test_a_command_that_is_shown_can_be_pasted(control_plane: ControlPlane) -> None:
    """Whatever a path or a context is called."""
    target = {"kubeconfig": "/home/ada/my clusters/one", "context": "ada's"}
    async with connect(control_plane.kubeconfig) as client:
        shown = Namespace(client, target, print).command("delete", "namespace", "a")
    options = ["--kubeconfig=/home/ada/my clusters/one", "--context=ada's"]
    assert shlex.split(shown) == ["kubectl", *options, "delete", "namespace", "a"]


async def test_it_stays_in_its_cluster_where_the_current_context_changes(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """`kubectl config use-context` in another window: the agent that is started again goes on in the same one."""
    access = yaml.safe_load(control_plane.kubeconfig.read_text())
    away = {"name": "away", "cluster": {"server": "https://127.0.0.1:1"}}
    access["clusters"].append(away)
    access["contexts"].append({"name": "away", "context": {**access["contexts"][0]["context"], "cluster": "away"}})
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(access))
    with demo(tmp_path, kubeconfig) as running:
        await there(tmp_path, "*/agent.log")
        kubeconfig.write_text(yaml.safe_dump({**access, "current-context": "away"}))
        code, said = await ended(running, tmp_path)
    assert (code, "NOT KEPT" in said) == (0, False), said
    assert namespaces(control_plane) == set()
