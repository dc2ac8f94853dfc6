"""What is the same for all kinds, and comes before or after the rules of a kind."""

from typing import Any

from agent.core.health.judgement import Judgement, Status, current, failed, in_progress
from agent.core.health.reading import UnreadableError, conditions, strict

__all__ = ["after", "before"]


def before(item: dict[str, Any], *, lenient: bool) -> Judgement | None:
    """Judge what holds for all kinds; None where the rules of the kind decide.

    Args:
        item: the object.
        lenient: take an `observedGeneration` that is no integer for absent: some kinds have a string there.

    Raises:
        UnreadableError: it is not of the form that objects have.
    """
    if strict(item, "metadata", "deletionTimestamp", of=str):
        return Judgement(Status.TERMINATING, "", "Is being deleted")
    generation = strict(item, "metadata", "generation", of=int)
    if generation is not None:
        try:
            observed = strict(item, "status", "observedGeneration", of=int)
        except UnreadableError:
            if not lenient:
                raise
            observed = None
        if observed is not None and observed != generation:
            said = f"Generation {generation} is not observed yet, {observed} was last"
            return in_progress("LatestGenerationNotObserved", said)
    for each in conditions(item):
        if each.type == "Reconciling" and each.status == "True":
            return in_progress(each.reason, each.message)
        if each.type == "Stalled" and each.status == "True":
            return failed(each.reason, each.message)
    return None


def after(item: dict[str, Any]) -> Judgement:
    """Judge a kind that has no rules of its own, by its condition `Ready` if it has one."""
    for each in conditions(item):
        if each.type == "Ready" and each.status == "True":
            return current("Is ready")
        if each.type == "Ready" and each.status in {"False", "Unknown"}:
            return in_progress(each.reason, each.message)
    return current("Is there, and no condition says more")
