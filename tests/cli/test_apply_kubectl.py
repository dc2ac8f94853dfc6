"""`bellpull apply` beside the real kubectl: each sees what the other did, and neither deletes what is not its own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from tests.cli.command import Ended
from tests.cli.person import Person

DEPLOYMENT: Final = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.org/web:1"}]}
"""
MORE_ENV: Final = DEPLOYMENT.replace(
    'image: "example.org/web:1"', 'image: "example.org/web:9", env: [{name: DEBUG, value: "yes"}]'
)
Kubectl: TypeAlias = Callable[..., Ended]


@pytest.fixture
def run(kubectl: Path, person: Person, tmp_path: Path) -> Kubectl:
    """Runs kubectl in the person's namespace."""

    def run(*words: str, text: str | None = None) -> Ended:
        done = subprocess.run(
            [str(kubectl), "--kubeconfig", str(person.kubeconfig), "-n", person.namespace, *words],
            env=os.environ | {"HOME": str(tmp_path), "KUBECTL_APPLYSET": "true"},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


def web(person: Person) -> Any:
    return person.live("deployments", "web", root="/apis/apps/v1")


def test_kubectl_refuses_to_touch_our_set(person: Person, run: Kubectl) -> None:
    """M13: its own pruning would delete what a Sync made; whose the set is stands at its parent."""
    person.write(web=DEPLOYMENT)
    assert person.run("apply", "--once").code == 0
    other = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}})
    words = ("apply", "--server-side", "--prune", "--applyset=configmaps/bellpull-sync-site", "-f", "-")
    refused = run(*words, text=other)
    assert refused.code != 0
    assert 'tooling "bellpull' in refused.err
    assert web(person) is not None
    assert person.live("configmaps", "other") is None


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("apply", "-f", "-"), id="apply"),
        pytest.param(("replace", "-f", "-"), id="replace"),
    ],
)
def test_what_kubectl_put_over_ours_is_undone(person: Person, run: Kubectl, words: tuple[str, ...]) -> None:
    """M4: the image comes back, and the variable that Git does not have goes."""
    person.write(web=DEPLOYMENT)
    person.run("apply", "--once")
    assert run(*words, text=MORE_ENV).code == 0
    done = person.run("apply", "--once")
    assert done.out.splitlines()[-1] == "1 configured"
    (container,) = web(person)["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container.get("env")) == ("example.org/web:1", None)
    assert "last-applied-configuration" not in str(web(person)["metadata"].get("annotations"))
    assert person.run("apply", "--once").out.splitlines()[-1] == "1 unchanged"


def test_who_comes_from_kubectl_apply_has_what_git_says(person: Person, run: Kubectl) -> None:
    """The day of the move: what kubectl applied is taken over with nothing made anew."""
    assert run("apply", "-f", "-", text=MORE_ENV).code == 0
    uid = web(person)["metadata"]["uid"]
    person.write(web=DEPLOYMENT)
    moved = person.run("apply", "--once")
    assert "what kubectl wrote beside Git is taken over" in moved.out
    live = web(person)
    assert (live["metadata"]["uid"], live["spec"]["template"]["spec"]["containers"][0].get("env")) == (uid, None)


def test_scaling_by_hand_is_undone(person: Person, run: Kubectl) -> None:
    person.write(web=DEPLOYMENT)
    person.run("apply", "--once")
    assert run("scale", "deployment/web", "--replicas=7").code == 0
    assert "-  replicas: 7" in person.run("diff").out
    person.run("apply", "--once")
    assert web(person)["spec"]["replicas"] == 2


def test_a_clone_of_ours_is_not_ours(person: Person, run: Kubectl) -> None:
    """M5: it has our label, and stays when the set goes."""
    person.write(web=DEPLOYMENT)
    person.run("apply", "--once")
    shown = yaml.safe_load(run("get", "deployment", "web", "-o", "yaml").out)
    shown["metadata"]["name"] = "clone"
    for field in ("resourceVersion", "uid"):
        del shown["metadata"][field]
    assert run("create", "-f", "-", text=yaml.safe_dump(shown)).code == 0
    person.write()
    gone = person.run("apply", "--once", "--accept-deletions")
    assert gone.out.splitlines()[-1] == "1 deleted"
    clone = person.live("deployments", "clone", root="/apis/apps/v1")
    assert clone is not None
    assert "applyset.kubernetes.io/part-of" in clone["metadata"]["labels"]
