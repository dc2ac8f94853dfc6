"""What the rules see beyond those of kstatus, and that no JSON makes them raise."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.health import EXTENDED, KSTATUS, Status, judge
from bellpull.runtime.clock import utc_now
from tests.agent.health.samples import SAMPLES, condition, of

NOW = utc_now()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def waiting(reason: str, where: str = "containerStatuses", phase: str = "Pending") -> dict[str, Any]:
    container = {"name": "web", "state": {"waiting": {"reason": reason, "message": "no such host"}}}
    return of("Pod", "v1", {}, {"phase": phase, where: [container]})


def hpa(*conditions: dict[str, str]) -> dict[str, Any]:
    return of("HorizontalPodAutoscaler", "autoscaling/v2", {}, {"conditions": list(conditions)})


ABLE = condition("AbleToScale", "True")
STUCK = [condition("Progressing", "True"), condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")]
EXCEEDED = [condition("Progressing", "False", "ProgressDeadlineExceeded"), STUCK[1]]
ENDED = [{"name": "web", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]
ADDRESS = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


@pytest.mark.parametrize(
    ("item", "status", "reason", "said"),
    [
        (waiting("ContainerCreating"), "InProgress", "PodPending", ""),
        (waiting("ErrImagePull"), "InProgress", "PodPending", ""),
        (waiting("ImagePullBackOff"), "Failed", "ImagePullBackOff", "Container web: no such host"),
        (waiting("ImagePullBackOff", phase="Running"), "Failed", "ImagePullBackOff", "Container web"),
        (waiting("CreateContainerConfigError"), "Failed", "CreateContainerConfigError", "Container web"),
        (waiting("CrashLoopBackOff", "initContainerStatuses"), "Failed", "CrashLoopBackOff", "Container web"),
        (waiting("CrashLoopBackOff", phase="Succeeded"), "Current", "", ""),
        (
            of("Pod", "v1", {}, {"phase": "Failed", "reason": "Evicted", "message": "disk"}),
            "Failed",
            "Evicted",
            "disk",
        ),
        (
            of("Pod", "v1", {}, {"phase": "Failed", "containerStatuses": ENDED}),
            "Failed",
            "PodFailed",
            "container web ended with 3 (Error)",
        ),
        (of("Job", "batch/v1", {}, {"startTime": "x", "active": 2}), "InProgress", "JobInProgress", "2 active"),
        (of("Job", "batch/v1", {}, {"conditions": [condition("Complete", "True")]}), "Current", "", ""),
        (of("Job", "batch/v1", {}, {"conditions": [condition("Failed", "True")]}), "Failed", "JobFailed", "words"),
        (
            of("Job", "batch/v1", {"suspend": True}, {"conditions": [condition("Suspended", "True")]}),
            "Current",
            "",
            "suspended",
        ),
        (
            of("Deployment", "apps/v1", {}, {"conditions": STUCK}),
            "InProgress",
            "FailedCreate",
            "Pods cannot be made: exceeded quota",
        ),
        (
            of("Deployment", "apps/v1", {}, {"conditions": EXCEEDED}),
            "Failed",
            "ProgressDeadlineExceeded",
            "words",
        ),
        (of("Service", "v1", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), "InProgress", "NoAddress", ""),
        (of("Service", "v1", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, ADDRESS), "Current", "", ""),
        (of("Service", "v1", {"type": "ClusterIP"}), "Current", "", ""),
        (of("Ingress", "networking.k8s.io/v1", {}), "InProgress", "NoAddress", ""),
        (of("Ingress", "networking.k8s.io/v1", {}, ADDRESS), "Current", "", ""),
        (of("PersistentVolumeClaim", "v1", {"volumeName": "v1"}, {"phase": "Lost"}), "Failed", "Lost", "v1"),
        (of("PersistentVolumeClaim", "v1", {}, {"phase": "Pending"}), "InProgress", "NotBound", ""),
        (of("PersistentVolume", "v1", {}, {"phase": "Failed", "message": "busy"}), "Failed", "Failed", "busy"),
        (of("PersistentVolume", "v1", {}), "InProgress", "Pending", ""),
        (of("PersistentVolume", "v1", {}, {"phase": "Available"}), "Current", "", ""),
        (hpa(), "InProgress", "NotAble", ""),
        (
            hpa(condition("AbleToScale", "False", "FailedGetScale", "not found")),
            "Failed",
            "FailedGetScale",
            "not found",
        ),
        (hpa(condition("AbleToScale", "False", "BackoffBoth")), "InProgress", "BackoffBoth", "words"),
        (
            hpa(ABLE, condition("ScalingActive", "False", "FailedGetResourceMetric", "no metrics")),
            "InProgress",
            "FailedGetResourceMetric",
            "no metrics",
        ),
        (hpa(ABLE, condition("ScalingActive", "False", "ScalingDisabled")), "Current", "", ""),
        (hpa(ABLE, condition("ScalingActive", "True")), "Current", "", ""),
        (
            of(
                "APIService",
                "apiregistration.k8s.io/v1",
                {},
                {"conditions": [condition("Available", "False", "Gone")]},
            ),
            "InProgress",
            "Gone",
            "words",
        ),
        (of("APIService", "apiregistration.k8s.io/v1", {}), "InProgress", "NotAvailable", ""),
        (
            of("APIService", "apiregistration.k8s.io/v1", {}, {"conditions": [condition("Available", "True")]}),
            "Current",
            "",
            "",
        ),
        (of("Thing", "x.example/v1", {}, {"observedGeneration": "7"}, generation=8), "Current", "", ""),
        (
            of("Thing", "x.example/v1", {}, {"observedGeneration": 7}, generation=8),
            "InProgress",
            "LatestGenerationNotObserved",
            "",
        ),
    ],
)
def test_what_is_seen_beyond_kstatus(item: dict[str, Any], status: str, reason: str, said: str) -> None:
    found = judge(item, NOW, rules=EXTENDED)
    assert (found.status, found.reason) == (status, reason)
    assert said in found.message
    assert found.message


def test_what_is_beyond_kstatus_is_not_judged_without_being_asked_for() -> None:
    assert judge(waiting("ImagePullBackOff"), NOW).status is Status.IN_PROGRESS
    assert judge(of("Ingress", "networking.k8s.io/v1", {}), NOW).status is Status.CURRENT


def test_nothing_that_fails_by_kstatus_is_well_by_more_rules() -> None:
    for sample in SAMPLES:
        if judge(sample, NOW).status is Status.FAILED:
            assert judge(sample, NOW, rules=EXTENDED).status is Status.FAILED


def test_what_is_not_there_is_not_found() -> None:
    assert judge(None, NOW).status is Status.NOT_FOUND


@pytest.mark.parametrize("value", [1, "x", [], [{}], True, 1.5])
def test_what_is_no_object_is_unknown(value: Any) -> None:
    assert judge(value, NOW).status is Status.UNKNOWN


@given(
    sample=st.sampled_from(SAMPLES),
    status=JSON | st.dictionaries(st.sampled_from(("phase", "conditions", "containerStatuses")), JSON),
    spec=JSON,
    metadata=JSON,
)
def test_no_json_makes_it_raise(sample: dict[str, Any], status: Any, spec: Any, metadata: Any) -> None:
    for changed in (
        sample | {"status": status},
        sample | {"spec": spec},
        sample | {"metadata": metadata},
        {"status": status, "metadata": metadata, "kind": spec, "apiVersion": metadata},
        status,
    ):
        for rules in (KSTATUS, EXTENDED):
            assert judge(changed, NOW, rules=rules).status in Status
