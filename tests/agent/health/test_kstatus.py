"""Our rules beside those of kstatus, the program itself."""

import json
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta
from random import Random
from typing import Any

from agent.core.health import Status, judge
from bellpull.runtime.clock import utc_now
from tests.agent.health.samples import SAMPLES, condition, of
from tests.odd_values import places, spoiled
from tests.parts.kstatus import Kstatus

KINDS = (
    *(("v1", kind) for kind in ("Pod", "Secret", "ConfigMap", "Service", "PersistentVolumeClaim", "Namespace")),
    *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(("extensions/v1beta1", kind) for kind in ("Deployment", "DaemonSet", "ReplicaSet", "Ingress")),
    ("policy/v1", "PodDisruptionBudget"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("x.example/v1", "Deployment"),
    ("", "Pod"),
    ("a/b/c", "Pod"),
)
COUNTS = (0, 1, 2, 3, 3, 3)
ODD: tuple[Any, ...] = (None, -1, 3.0, True, "3", 2**31 - 1, 2**63, [], {})
REPLICAS = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "currentReplicas")
MORE = ("fullyLabeledReplicas", "desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled")
NUMBERS = (*REPLICAS, *MORE, "numberAvailable", "numberReady", "observedGeneration", "succeeded", "active", "failed")
CONDITIONS = (
    *("Ready", "Reconciling", "Stalled", "Progressing", "Available", "ReplicaFailure", "PodScheduled"),
    *("Complete", "Failed", "NamesAccepted", "Established"),
)
REASONS = ("", "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "Unschedulable", "Installing", "Other")


def assert_same(kstatus: Kstatus, objects: list[Any]) -> Counter[str]:
    """Judge all in both ways, and return how often there was which answer."""
    answers = kstatus(objects)
    assert len(answers) == len(objects)
    now, seen = utc_now(), Counter[str]()
    for item, answer in zip(objects, answers, strict=True):
        mine = judge(item, now)
        expected = (Status.UNKNOWN, "Unreadable") if answer["error"] else (answer["status"], answer["reason"])
        assert (mine.status, mine.reason) == expected, f"{json.dumps(item)}: {mine}, kstatus: {answer}"
        seen[f"{mine.status} {mine.reason}"] += 1
    return seen


def test_samples_are_judged_as_by_kstatus(kstatus: Kstatus) -> None:
    seen = assert_same(kstatus, list(SAMPLES))
    assert seen["Unknown Unreadable"] == 0


def test_with_any_field_of_a_sample_odd_or_missing_it_is_as_by_kstatus(kstatus: Kstatus) -> None:
    objects = [
        deepcopy(each) for sample in SAMPLES for path in places(sample) for each in spoiled(deepcopy(sample), path)
    ]
    seen = assert_same(kstatus, objects)
    assert seen["Unknown Unreadable"] > 100


def test_objects_made_by_chance_are_judged_as_by_kstatus(kstatus: Kstatus) -> None:
    random = Random("kstatus")
    seen = assert_same(kstatus, [_by_chance(random) for _ in range(40_000)])
    rare = {answer for answer, count in seen.items() if count < 3}
    assert len(seen) >= 39
    assert not rare


def test_a_pod_is_unschedulable_after_the_same_time(kstatus: Kstatus) -> None:
    now = utc_now()
    status = {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable")]}
    times = [now - timedelta(seconds=seconds) for seconds in (-60, 5, 20, 3600)]
    made = [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in times] + ["", "yesterday", None, 7, "2999-01-01T00:00:00+02:00"]
    seen = assert_same(kstatus, [of("Pod", "v1", status=status, creationTimestamp=each) for each in made])
    assert set(seen) == {"InProgress PodNotScheduled", "Failed PodUnschedulable"}


def test_a_suspended_job_is_current_which_released_kstatus_does_not_know_yet(kstatus: Kstatus) -> None:
    suspended = of("Job", "batch/v1", {"suspend": True}, {"conditions": [condition("Suspended", "True")]})
    assert judge(suspended, utc_now()).status is Status.CURRENT
    assert kstatus([suspended])[0]["reason"] == "JobNotStarted"
    resumed = suspended | {"spec": {"suspend": False}}
    assert_same(kstatus, [resumed])


def _by_chance(random: Random) -> dict[str, Any]:
    version, kind = random.choice(KINDS)
    status: dict[str, Any] = {name: _number(random) for name in NUMBERS if random.random() < 0.8}
    status["observedGeneration"] = 3
    if random.random() < 0.7:
        status["conditions"] = list(_conditions(random))
    if kind in {"Pod", "PersistentVolumeClaim"}:
        status["phase"] = random.choice(("Pending", "Running", "Succeeded", "Failed", "Bound", "", "Lost"))
        if random.random() < 0.5:
            reason = random.choice(("CrashLoopBackOff", "ImagePullBackOff"))
            status["containerStatuses"] = [{"name": "web", "state": {"waiting": {"reason": reason}}}]
    for name in ("currentRevision", "updateRevision"):
        status[name] = random.choice("aab")
    if random.random() < 0.8:
        status["startTime"] = "2020-01-01T00:00:00Z"
    return of(kind, version, _spec(random), status, **_metadata(random))


def _spec(random: Random) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if random.random() < 0.8:
        spec["replicas"] = _number(random)
    if random.random() < 0.5:
        spec["progressDeadlineSeconds"] = random.choice((600, 2**31 - 1, "600"))
    if random.random() < 0.5:
        spec["updateStrategy"] = {"type": random.choice(("RollingUpdate", "OnDelete"))}
        if random.random() < 0.5:
            spec["updateStrategy"]["rollingUpdate"] = {"partition": random.choice((0, 1, 1, 2, "1"))}
    if random.random() < 0.5:
        spec["type"] = random.choice(("LoadBalancer", "ClusterIP"))
    return spec


def _metadata(random: Random) -> dict[str, Any]:
    metadata: dict[str, Any] = {"creationTimestamp": "2020-01-01T00:00:00Z"}
    if random.random() < 0.9:
        metadata["generation"] = random.choice((3, 3, 3, 3, 3, 3, 4))
    if random.random() < 0.02:
        metadata["deletionTimestamp"] = "2020-01-01T00:00:00Z"
    return metadata


def _number(random: Random) -> Any:
    return random.choice(ODD) if random.random() < 0.02 else random.choice(COUNTS)


def _conditions(random: Random) -> Iterator[dict[str, str]]:
    for kind in random.sample(CONDITIONS, random.randint(0, 3)):
        reason = "Unschedulable" if kind == "PodScheduled" else random.choice(REASONS)
        yield condition(kind, random.choice(("True", "True", "False", "Unknown", "Odd")), reason)
