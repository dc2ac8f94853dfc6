"""Which Pods say why their owner does not get on."""

from typing import Any

import pytest

from agent.core.health import Judgement, Status
from agent.core.health.pods import blame_pods, newest_pods, newest_replica_set, selector
from tests.agent.health.samples import of

PROGRESSING = Judgement(Status.IN_PROGRESS, "LessReady", "Ready: 0 of 1")
FAILED = Judgement(Status.FAILED, "ImagePullBackOff", "Container web: no such image")
WELL = Judgement(Status.CURRENT, "", "Is ready")


def owned(kind: str, name: str, by: str, **metadata: Any) -> dict[str, Any]:
    owners = [{"uid": "other", "controller": False}, {"uid": by, "controller": True}]
    return of(kind, "v1", **(metadata | {"name": name, "uid": f"uid of {name}", "ownerReferences": owners}))


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["metadata"]["name"] for each in found]


@pytest.mark.parametrize(
    ("written", "query"),
    [
        ({"matchLabels": {"a": "1", "b": "2"}}, "a=1,b=2"),
        (
            {
                "matchLabels": {"a": "1"},
                "matchExpressions": [
                    {"key": "t", "operator": "In", "values": ["x", "y"]},
                    {"key": "u", "operator": "NotIn", "values": ["z"]},
                    {"key": "v", "operator": "Exists"},
                    {"key": "w", "operator": "DoesNotExist"},
                ],
            },
            "a=1,t in (x,y),u notin (z),v,!w",
        ),
        ({"matchExpressions": [{"key": "t", "operator": "Gt", "values": ["1"]}]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_selector_is_as_a_query_has_it(written: Any, query: str | None) -> None:
    """What cannot be told selects nothing, and never everything."""
    assert selector(of("Deployment", "apps/v1", {"selector": written})) == query


def test_of_replica_sets_the_one_of_the_revision_counts() -> None:
    def annotated(revision: str) -> dict[str, Any]:
        return {"annotations": {"deployment.kubernetes.io/revision": revision}}

    web = of("Deployment", "apps/v1", uid="web", **annotated("2"))
    sets = [
        owned("ReplicaSet", "theirs", "somebody", **annotated("2")),
        owned("ReplicaSet", "old", "web", **annotated("1")),
        owned("ReplicaSet", "new", "web", **annotated("2")),
    ]
    found = newest_replica_set(web, sets)
    assert found is not None
    assert found["metadata"]["name"] == "new"
    assert newest_replica_set(web, sets[:2]) is None


def test_pods_of_what_ran_before_do_not_count() -> None:
    """A broken commit that was mended leaves Pods that crash on until they are replaced."""
    hashed = [owned("Pod", name, "one", labels={"controller-revision-hash": name}) for name in ("old", "new")]
    stateful = of("StatefulSet", "apps/v1", status={"updateRevision": "new"}, uid="one")
    assert names(newest_pods(stateful, hashed)) == ["new"]
    counted = [owned("Pod", name, "one", labels={"pod-template-generation": name}) for name in ("1", "2")]
    annotations = {"deprecated.daemonset.template.generation": "2"}
    assert names(newest_pods(of("DaemonSet", "apps/v1", uid="one", annotations=annotations), counted)) == ["2"]
    theirs = [owned("Pod", "mine", "one"), owned("Pod", "theirs", "two"), of("Pod", "v1")]
    assert names(newest_pods(of("Job", "batch/v1", uid="one"), theirs)) == ["mine"]
    assert newest_pods(of("Job", "batch/v1"), theirs) == []


def test_an_owner_that_is_on_its_way_fails_with_its_pods() -> None:
    found = blame_pods(PROGRESSING, [("b", FAILED), ("a", FAILED), ("c", WELL)])
    assert (found.status, found.reason) == (Status.FAILED, "ImagePullBackOff")
    assert found.message == "Ready: 0 of 1; Pod a, and 1 more: Container web: no such image"
    assert blame_pods(PROGRESSING, [("c", WELL)]) == PROGRESSING
    assert blame_pods(WELL, [("b", FAILED)]) == WELL
