"""The rules of kstatus for what runs Pods. The docstring of a rule is printed into the reference."""

from datetime import datetime
from typing import Any, Final

from agent.core.health.judgement import Judgement, current, failed, in_progress
from agent.core.health.reading import conditions, flag, integer, strict, text

__all__ = ["daemon_set", "deployment", "job", "replica_set", "stateful_set"]

_NEVER: Final = 2**31 - 1
"""Says that a Deployment may take as long as it likes; so does an absent deadline."""


def deployment(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when all replicas are updated, available and ready, no old one is left, and its conditions say so.

    Failed when its progress deadline was exceeded; else InProgress.
    """
    deadline = integer(item, "spec", "progressDeadlineSeconds", default=_NEVER)
    is_progressed, is_available = deadline == _NEVER, False
    for each in conditions(item):
        if each.type == "Progressing" and each.reason == "ProgressDeadlineExceeded":
            return failed(each.reason, each.message or "The progress deadline was exceeded")
        if each.status == "True":
            is_progressed |= each.type == "Progressing" and each.reason == "NewReplicaSetAvailable"
            is_available |= each.type == "Available"
    if (missing := _rolling_out(item)) is not None:
        return missing
    if not is_progressed:
        return in_progress("ReplicaSetNotAvailable", "Its new ReplicaSet is not available")
    if not is_available:
        return in_progress("DeploymentNotAvailable", "Is not available")
    return current(f"Is available with {_counted(item, 'replicas')} replicas")


def _rolling_out(item: dict[str, Any]) -> Judgement | None:
    """Return which replicas of a Deployment are missing, or too many."""
    wanted, replicas = _wanted(item), _counted(item, "replicas")
    updated, available = _counted(item, "updatedReplicas"), _counted(item, "availableReplicas")
    ready = _counted(item, "readyReplicas")
    if wanted > replicas:
        return _less("Replicas", replicas, wanted)
    if wanted > updated:
        return _less("Updated", updated, wanted)
    if replicas > wanted:
        return _extra(replicas - wanted)
    if updated > available:
        return _less("Available", available, updated)
    return _less("Ready", ready, wanted) if wanted > ready else None


def replica_set(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when Pods can be made, all replicas are labelled, available and ready, and none is to go.

    Else InProgress.
    """
    if any(each.type == "ReplicaFailure" and each.status == "True" for each in conditions(item)):
        return in_progress("ReplicaFailure", "Pods cannot be made: see its events")
    wanted, replicas = _wanted(item), _counted(item, "replicas")
    for reason, name in (
        ("Labelled", "fullyLabeledReplicas"),
        ("Available", "availableReplicas"),
        ("Ready", "readyReplicas"),
    ):
        if wanted > (count := _counted(item, name)):
            return _less(reason, count, wanted)
    if replicas > wanted:
        return _extra(replicas - wanted)
    return current(f"Is available with {replicas} replicas")


def stateful_set(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when all replicas are there and ready, none is to go, and those above the partition are updated.

    With the update strategy OnDelete always Current; else InProgress.
    """
    if text(item, "spec", "updateStrategy", "type") == "OnDelete":
        return current("Is updated by whoever deletes its Pods")
    wanted, replicas = _wanted(item), _counted(item, "replicas")
    updated = _counted(item, "updatedReplicas")
    partition = integer(item, "spec", "updateStrategy", "rollingUpdate", "partition", default=-1)
    if wanted > replicas:
        return _less("Replicas", replicas, wanted)
    if wanted > (ready := _counted(item, "readyReplicas")):
        return _less("Ready", ready, wanted)
    if replicas > wanted:
        return _extra(replicas - wanted)
    if partition != -1:
        if updated < wanted - partition:
            return in_progress("PartitionRollout", f"Updated above the partition: {updated} of {wanted - partition}")
        return current(f"Is updated above the partition: {updated}")
    if wanted > (new := _counted(item, "currentReplicas")):
        return _less("Current", new, wanted)
    if text(item, "status", "currentRevision") != text(item, "status", "updateRevision"):
        return in_progress("RevisionMismatch", "The new revision is not the current one yet")
    return current(f"All {replicas} replicas are there")


def daemon_set(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when all its Pods are scheduled, updated, available and ready; else InProgress."""
    if strict(item, "metadata", "generation", of=int) is None:
        return in_progress("NoGeneration", "Has no metadata.generation")
    if strict(item, "status", "observedGeneration", of=int) is None:
        return in_progress("NoObservedGeneration", "Has no status.observedGeneration")
    wanted = integer(item, "status", "desiredNumberScheduled", default=-1)
    if wanted == -1:
        return in_progress("NoDesiredNumber", "Has no status.desiredNumberScheduled")
    for reason, name in (
        ("Current", "currentNumberScheduled"),
        ("Updated", "updatedNumberScheduled"),
        ("Available", "numberAvailable"),
        ("Ready", "numberReady"),
    ):
        if wanted > (count := _counted(item, name)):
            return _less(reason, count, wanted)
    return current(f"All {wanted} Pods are there")


def job(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when it is complete, suspended or running; Failed when it failed; InProgress until it started."""
    for each in conditions(item):
        if each.status != "True":
            continue
        if each.type == "Complete":
            return current(f"Is complete: {_counted(item, 'succeeded')} succeeded")
        if each.type == "Failed":
            return failed("JobFailed", each.message or f"Failed: {_counted(item, 'failed')} Pods failed")
        if each.type == "Suspended" and flag(item, "spec", "suspend"):
            return current("Is suspended")
    if not text(item, "status", "startTime"):
        return in_progress("JobNotStarted", "Did not start yet")
    return current(f"Is running: {_counted(item, 'active')} active, {_counted(item, 'failed')} failed")


def _wanted(item: dict[str, Any]) -> int:
    return integer(item, "spec", "replicas", default=1)


def _counted(item: dict[str, Any], name: str) -> int:
    return integer(item, "status", name, default=0)


def _less(what: str, count: int, wanted: int) -> Judgement:
    return in_progress(f"Less{what}", f"{what}: {count} of {wanted}")


def _extra(count: int) -> Judgement:
    return in_progress("ExtraPods", f"{count} to go")
