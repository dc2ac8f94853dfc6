"""`bellpull apply --once` and `bellpull diff` against a real API server, as a person runs them."""

import json

import pytest

from tests.cli.command import Ended
from tests.cli.person import Person

SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mode: fast}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n"

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example.org/web}]}
"""
AUTOSCALER = """apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 9
"""


def test_the_second_run_prunes(person: Person) -> None:
    """What was made is remembered in the cluster; each object has a line, and the end counts them."""
    person.write(settings=SETTINGS, secret=SECRET)
    made = person.run("apply", "--once")
    assert (made.code, made.err) == (0, "")
    assert sorted(made.out.splitlines()) == [
        "2 created",
        f"created     ConfigMap/{person.namespace}/settings",
        f"created     Secret/{person.namespace}/db",
    ]
    assert person.run("apply", "--once").out.splitlines()[-1] == "2 unchanged"
    person.write(settings=SETTINGS)
    assert person.run("apply", "--once").out.splitlines()[-1] == "1 deleted, 1 unchanged"
    assert person.live("secrets", "db") is None


def test_a_diff_shows_what_an_apply_does_and_no_secret(person: Person) -> None:
    """Nothing is written; it ends with 1 where something would change."""
    person.write(settings=SETTINGS, secret=SECRET)
    before = person.run("diff")
    assert before.code == 1
    assert "+  mode: fast" in before.out
    assert person.live("configmaps", "settings") is None
    person.run("apply", "--once")
    assert person.run("diff") == Ended(code=0, out="", err="")
    person.write(settings=SETTINGS.replace("fast", "slow"), secret=SECRET.replace("hunter2", "hunter3"))
    after = person.run("diff")
    assert "-  mode: fast\n+  mode: slow\n" in after.out
    assert "-  password: '*** (before)'\n+  password: '*** (after)'\n" in after.out
    person.write(settings=SETTINGS)
    gone = person.run("diff")
    assert f"--- live/Secret/{person.namespace}/db" in gone.out
    shown = before.out + after.out + gone.out
    assert not any(text in shown for text in ("hunter", "aHVudGVy"))


def test_a_diff_and_an_apply_leave_replicas_to_an_autoscaler(person: Person) -> None:
    """What is left is said with each apply, and is no difference."""
    person.write(web=DEPLOYMENT, scaler=AUTOSCALER)
    assert person.run("apply", "--once").out.splitlines()[-1] == "2 created"
    person.write(web=DEPLOYMENT.replace("replicas: 3", "replicas: 5"), scaler=AUTOSCALER)
    assert person.run("diff") == Ended(code=0, out="", err="")
    applied = person.run("apply", "--once").out
    assert "spec.replicas is left to HorizontalPodAutoscaler/web: remove it from Git" in applied
    assert applied.splitlines()[-1] == "2 unchanged"
    person.write(web=DEPLOYMENT.replace("  replicas: 3\n", ""), scaler=AUTOSCALER)
    assert person.run("diff") == Ended(code=0, out="", err="")
    assert "spec.replicas is no longer in Git, and stays as it is" in person.run("apply", "--once").out
    live = person.live("deployments", "web", root="/apis/apps/v1")
    assert live["spec"]["replicas"] == 3


def test_every_fault_is_said_and_nothing_is_applied(person: Person) -> None:
    person.write(settings=SETTINGS, wrong="a: 1\n---\nkind: Pod\n", rendered="{")
    (person.folder / "kustomization.yaml").write_text("resources: []")
    ended = person.run("apply", "--once")
    assert (ended.code, ended.out) == (1, "")
    assert "kustomization.yaml:1: is Kustomize's, and only plain manifests are applied so far" in ended.err
    assert "rendered.yaml:" in ended.err
    assert person.live("configmaps", "settings") is None


def test_a_folder_that_lost_everything_deletes_nothing(person: Person) -> None:
    """P9; the line says how to go on, and that works."""
    person.write(settings=SETTINGS)
    person.run("apply", "--once")
    person.write()
    ended = person.run("apply", "--once")
    assert ended.code == 1
    assert "EmptySource: the folder has no objects, and 1 are live; nothing was written" in ended.err
    assert person.live("configmaps", "settings") is not None
    assert person.run("apply", "--once", "--accept-deletions").out.splitlines()[-1] == "1 deleted"


def test_what_could_not_be_applied_is_said_with_its_place(person: Person) -> None:
    """The others are applied, and programs get it as JSON."""
    wrong = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 99999}]}\n"
    person.write(settings=SETTINGS, wrong=wrong)
    ended = person.run("apply", "--once", "-o", "json")
    said = json.loads(ended.out)
    assert (ended.code, said["ok"]) == (1, False)
    (failed,) = [each for each in said["objects"] if each["action"] == "failed"]
    assert (failed["object"], failed["where"]) == (f"Service/{person.namespace}/web", "wrong.yaml:1")
    assert "spec.ports[0].port" in failed["problem"]
    assert person.live("configmaps", "settings") is not None


def test_what_belongs_to_another_sync_is_refused(person: Person) -> None:
    """M13: nothing of it is written, and it stays when the folder no longer has it; the line says how to take it."""
    person.write(settings=SETTINGS)
    assert person.run("apply", "--once").code == 0
    person.write(settings=SETTINGS.replace("fast", "slow"), secret=SECRET)
    refused = person.run("apply", "--once", "--name", "other")
    assert (refused.code, refused.out.splitlines()[-1]) == (1, "1 created, 1 failed")
    owner = f"bellpull/{person.namespace}/site"
    assert f"failed      ConfigMap/{person.namespace}/settings (settings.yaml:1): belongs to {owner}" in refused.err
    assert "set the annotation bellpull.dev/adopt: enabled on it to take it over" in refused.err
    assert f"belongs to {owner}" in person.run("diff", "--name", "other").err
    person.write(secret=SECRET)
    assert person.run("apply", "--once", "--name", "other").out.splitlines()[-1] == "1 kept, 1 unchanged"
    assert person.live("configmaps", "settings")["data"] == {"mode": "fast"}


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        pytest.param(["apply"], 2, "say --once", id="not once"),
        pytest.param(["apply", "--once", "--name", "No Name"], 2, "--name: is not a name", id="a name that is none"),
        pytest.param(["apply", "--once", "-n", "nowhere"], 1, 'namespaces "nowhere" not found', id="no namespace"),
        pytest.param(["apply", "--once", "--context", "other"], 1, "other", id="no context"),
        pytest.param(["diff", "--kubeconfig", "/nowhere"], 1, "/nowhere: no such kubeconfig", id="no kubeconfig"),
    ],
)
def test_what_a_person_can_mend_is_a_line(words: list[str], code: int, problem: str, person: Person) -> None:
    person.write(settings=SETTINGS)
    ended = person.run(*words)
    assert (ended.code, ended.out) == (code, "")
    assert problem in ended.err
    assert len(ended.err.splitlines()) == 1
