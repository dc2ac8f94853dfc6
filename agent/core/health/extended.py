"""Rules that see more than those of kstatus: what never comes about by itself, and what is not usable yet.

The docstring of a rule is printed into the reference. A rule that returns None leaves the object to that of kstatus.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from agent.core.health import workloads
from agent.core.health.judgement import Judgement, Status, current, failed, in_progress
from agent.core.health.reading import Condition, conditions, entries, integer, text

__all__ = [
    "api_service",
    "autoscaler",
    "deployment",
    "ingress",
    "job",
    "persistent_volume",
    "persistent_volume_claim",
    "pod",
    "service",
]

_DOOMED: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Why a container waits that waited before: the kubelet's words, once it no longer tries at once."""
_CONTAINERS: Final = ("initContainerStatuses", "containerStatuses")


def pod(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """Failed when it ended and not well, or cannot come to run.

    As where an image cannot be pulled, or a container, an init container too, cannot be made or crashes again.
    """
    phase = text(item, "status", "phase")
    if phase == "Failed":
        why = text(item, "status", "message") or "; ".join(_ended(item)) or "no container says why"
        return failed(text(item, "status", "reason") or "PodFailed", f"Has ended, and not well: {why}")
    if phase in {"Pending", "Running"}:
        for name, waiting in _waiting(item):
            if (reason := text(waiting, "reason")) in _DOOMED:
                return failed(reason, f"Container {name}: {text(waiting, 'message') or reason}")
    return None


def job(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """InProgress while it runs."""
    ended = any(
        each.status == "True" and each.type in {"Complete", "Failed", "Suspended"} for each in conditions(item)
    )
    if ended or not text(item, "status", "startTime"):
        return None
    counted = ", ".join(f"{integer(item, 'status', name, default=0)} {name}" for name in ("active", "failed"))
    return in_progress("JobInProgress", f"Is running: {counted}")


def deployment(item: dict[str, Any], now: datetime) -> Judgement | None:
    """InProgress with the reason where Pods cannot be made, as by a quota or an admission webhook."""
    refused = next(
        (each for each in conditions(item) if each.type == "ReplicaFailure" and each.status == "True"), None
    )
    if refused is None or workloads.deployment(item, now).status is not Status.IN_PROGRESS:
        return None
    return in_progress(refused.reason or "ReplicaFailure", f"Pods cannot be made: {refused.message}")


def service(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """InProgress while it is a LoadBalancer that has no address outside."""
    if text(item, "spec", "type") == "LoadBalancer" and not entries(item, "status", "loadBalancer", "ingress"):
        return in_progress("NoAddress", "Its load balancer has no address yet")
    return None


def ingress(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """InProgress until it has an address."""
    if not entries(item, "status", "loadBalancer", "ingress"):
        return in_progress("NoAddress", "No controller gave it an address yet")
    return None


def persistent_volume_claim(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """Failed when its volume is gone."""
    if text(item, "status", "phase") == "Lost":
        return failed("Lost", f"Its volume {text(item, 'spec', 'volumeName')} is gone")
    return None


def persistent_volume(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """Failed when it could not be reclaimed or deleted; InProgress before it is available."""
    phase = text(item, "status", "phase")
    if phase == "Failed":
        return failed(text(item, "status", "reason") or "Failed", text(item, "status", "message") or "Has failed")
    return in_progress("Pending", "Is not available yet") if phase in {"", "Pending"} else None


def autoscaler(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """Current when it scales its target, or is at rest.

    Failed when it cannot read or set the scale; InProgress until it acts, and while metrics are missing.
    """
    found = {each.type: each for each in conditions(item)}
    able, active = found.get("AbleToScale"), found.get("ScalingActive")
    if able is not None and able.status == "False" and able.reason in {"FailedGetScale", "FailedUpdateScale"}:
        return failed(able.reason, able.message)
    if able is None or able.status != "True":
        return _waits(able, "NotAble", "Did not look at its target yet")
    if active is not None and active.status == "False" and active.reason != "ScalingDisabled":
        return _waits(active, "NotActive", "Does not act")
    return current("Scales its target")


def api_service(item: dict[str, Any], _now: datetime) -> Judgement | None:
    """InProgress until it is available."""
    available = next((each for each in conditions(item) if each.type == "Available"), None)
    if available is not None and available.status == "True":
        return current("Is available")
    return _waits(available, "NotAvailable", "Is not available yet")


def _waits(condition: Condition | None, reason: str, message: str) -> Judgement:
    if condition is None:
        return in_progress(reason, message)
    return in_progress(condition.reason or reason, condition.message or message)


def _waiting(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names of the containers that wait, with what they say."""
    for kind in _CONTAINERS:
        for each in entries(item, "status", kind):
            state = each.get("state")
            waiting = state.get("waiting") if isinstance(state, dict) else None
            if isinstance(waiting, dict):
                yield text(each, "name"), waiting


def _ended(item: dict[str, Any]) -> Iterator[str]:
    """Yield how containers ended that did not end well."""
    for kind in _CONTAINERS:
        for each in entries(item, "status", kind):
            code = integer(each, "state", "terminated", "exitCode", default=0)
            if code != 0:
                why = text(each, "state", "terminated", "reason")
                yield f"container {text(each, 'name')} ended with {code}" + (f" ({why})" if why else "")
