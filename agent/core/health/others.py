"""The rules of kstatus for the other kinds it knows. The docstring of a rule is printed into the reference."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.core.health.judgement import Judgement, current, failed, in_progress
from agent.core.health.reading import UnreadableError, conditions, text

__all__ = [
    "always",
    "custom_resource_definition",
    "persistent_volume_claim",
    "pod",
    "pod_disruption_budget",
    "service",
]

_SCHEDULED_WITHIN: Final = timedelta(seconds=15)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def always(_item: dict[str, Any], _now: datetime) -> Judgement:
    """Always Current."""
    return current("Is always ready")


def pod_disruption_budget(_item: dict[str, Any], _now: datetime) -> Judgement:
    """Current once its controller has seen it."""
    return current("Is computed")


def service(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current, but InProgress while it is a LoadBalancer without a cluster IP."""
    if text(item, "spec", "type", default="ClusterIP") == "LoadBalancer" and not text(item, "spec", "clusterIP"):
        return in_progress("NoIPAssigned", "Has no cluster IP")
    return current("Is ready")


def persistent_volume_claim(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when it is bound; else InProgress."""
    phase = text(item, "status", "phase", default="unknown")
    return current("Is bound") if phase == "Bound" else in_progress("NotBound", f"Is not bound: {phase}")


def custom_resource_definition(item: dict[str, Any], _now: datetime) -> Judgement:
    """Current when it is established; Failed when its names are not accepted or it cannot be; else InProgress."""
    for each in conditions(item):
        if each.type == "NamesAccepted" and each.status == "False":
            return failed(each.reason, each.message)
        if each.type == "Established" and each.status == "False" and each.reason != "Installing":
            return failed(each.reason, each.message)
        if each.type == "Established" and each.status == "True":
            return current("Is established")
    return in_progress("Installing", "Is not established yet")


def pod(item: dict[str, Any], now: datetime) -> Judgement:
    """Current when it is ready or has ended, well or not.

    Failed when a container crashes again and again, or no node was found within 15 s; else InProgress.
    """
    phase = text(item, "status", "phase")
    if phase == "Succeeded":
        return current("Has ended well")
    if phase == "Failed":
        return current("Has ended, and not well")
    if phase == "Running":
        return _running(item)
    if phase == "Pending":
        return _pending(item, now)
    if phase:
        raise UnreadableError(f"status.phase is {phase}, which no Pod has")
    return in_progress("PodNotObserved", "Was not seen by a scheduler yet")


def _running(item: dict[str, Any]) -> Judgement:
    if any(each.type == "Ready" and each.status == "True" for each in conditions(item)):
        return current("Is ready")
    if crashing := _crashing(item["status"]):
        return failed("ContainerCrashLooping", f"Crash again and again: {', '.join(crashing)}")
    return in_progress("PodRunningNotReady", "Runs and is not ready")


def _pending(item: dict[str, Any], now: datetime) -> Judgement:
    unscheduled = next(
        (each for each in conditions(item) if each.type == "PodScheduled" and each.status == "False"), None
    )
    if unscheduled is None or unscheduled.reason != "Unschedulable":
        return in_progress("PodPending", "Waits to be run")
    if now - _SCHEDULED_WITHIN < _made_at(item):
        return in_progress("PodNotScheduled", "Has no node yet")
    return failed("PodUnschedulable", f"No node can run it: {unscheduled.message}".removesuffix(": "))


def _crashing(status: dict[str, Any]) -> list[str]:
    """Return the names of containers that are not started again at once."""
    if "containerStatuses" not in status:
        return []
    found = status["containerStatuses"]
    if not isinstance(found, list):
        raise UnreadableError("status.containerStatuses is no list")
    return [name for each in found if (name := _crashing_name(each)) is not None]


def _crashing_name(value: Any) -> str | None:
    for names in (("name",), ("state", "waiting", "reason")):
        inner = value
        for name in names:
            if not isinstance(inner, dict):
                raise UnreadableError("status.containerStatuses are not of the form that they have")
            if name not in inner:
                return None
            inner = inner[name]
        if not isinstance(inner, str):
            raise UnreadableError("status.containerStatuses are not of the form that they have")
    return value["name"] if value["state"]["waiting"]["reason"] == "CrashLoopBackOff" else None


def _made_at(item: dict[str, Any]) -> datetime:
    try:
        made = datetime.fromisoformat(text(item, "metadata", "creationTimestamp"))
    except ValueError:
        return _NEVER
    return made if made.tzinfo is not None else _NEVER
