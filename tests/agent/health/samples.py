"""Objects as clusters show them, one or more for each rule; `health_samples` are what tests judge and spoil."""

from typing import Any, Final

__all__ = ["SAMPLES", "condition", "of"]


def of(kind: str, api_version: str, spec: Any = None, status: Any = None, **metadata: Any) -> dict[str, Any]:
    """Return an object with what was given."""
    made: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "one", **metadata}}
    if spec is not None:
        made["spec"] = spec
    if status is not None:
        made["status"] = status
    return made


def condition(kind: str, status: str, reason: str = "Reason", message: str = "words") -> dict[str, str]:
    """Return one entry of `status.conditions`."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


_READY: Final = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
_CRASHES: Final = [{"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}]

SAMPLES: Final = (
    of("ConfigMap", "v1"),
    of("Service", "v1", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, {"loadBalancer": {}}),
    of("Pod", "v1", status={"phase": "Running", "conditions": [condition("Ready", "True")]}),
    of(
        "Pod",
        "v1",
        status={"phase": "Running", "conditions": [condition("Ready", "False")], "containerStatuses": _CRASHES},
    ),
    of(
        "Pod",
        "v1",
        status={"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable")]},
        creationTimestamp="2020-01-01T00:00:00Z",
    ),
    of("PersistentVolumeClaim", "v1", status={"phase": "Bound"}),
    of(
        "Deployment",
        "apps/v1",
        {"replicas": 3, "progressDeadlineSeconds": 600},
        _READY
        | {
            "observedGeneration": 2,
            "conditions": [
                condition("Progressing", "True", "NewReplicaSetAvailable"),
                condition("Available", "True"),
            ],
        },
        generation=2,
    ),
    of("ReplicaSet", "apps/v1", {"replicas": 3}, _READY | {"fullyLabeledReplicas": 3}),
    of(
        "StatefulSet",
        "apps/v1",
        {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        {"replicas": 3, "readyReplicas": 3, "currentReplicas": 3, "updatedReplicas": 2},
    ),
    of(
        "StatefulSet",
        "apps/v1",
        {"replicas": 2},
        {
            "replicas": 2,
            "readyReplicas": 2,
            "currentReplicas": 2,
            "currentRevision": "a",
            "updateRevision": "a",
        },
    ),
    of(
        "DaemonSet",
        "apps/v1",
        status={
            "observedGeneration": 1,
            "desiredNumberScheduled": 2,
            "currentNumberScheduled": 2,
            "updatedNumberScheduled": 2,
            "numberAvailable": 2,
            "numberReady": 2,
        },
        generation=1,
    ),
    of("Job", "batch/v1", {"completions": 2}, {"startTime": "2020-01-01T00:00:00Z", "active": 1}),
    of("Job", "batch/v1", {}, {"conditions": [condition("FailureTarget", "True"), condition("Failed", "True")]}),
    of("PodDisruptionBudget", "policy/v1", {}, {"observedGeneration": 1}, generation=1),
    of(
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        {},
        {"conditions": [condition("NamesAccepted", "True"), condition("Established", "True")]},
    ),
    of("Certificate", "cert-manager.io/v1", {}, {"conditions": [condition("Ready", "False", "Issuing")]}),
    of("Thing", "x.example/v1", {}, {"conditions": [condition("Reconciling", "True"), condition("Stalled", "True")]}),
    of("Thing", "x.example/v1", {}, {"conditions": [condition("Stalled", "True")]}, deletionTimestamp=""),
)
"""At least one for each rule of kstatus."""
