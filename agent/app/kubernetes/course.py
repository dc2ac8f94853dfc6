"""What happens to one object on its way, and what that is called."""

from dataclasses import dataclass

from agent.core.kubernetes.inventory import Record
from agent.core.kubernetes.policy import Action

__all__ = ["Course", "action_of"]


@dataclass(slots=True)
class Course:
    """What happens to an object on its way.

    Attributes:
        notes: what a person should know.
        wrote: whether something of others was written over, which our own entry does not tell within a second.
        anew: whether the one that was there was deleted.
    """

    notes: list[str]
    wrote: bool = False
    anew: bool = False


def action_of(before: Record | None, after: Record, course: Course, *, created: bool) -> Action:
    """Return what was done, from what is remembered of the object before and after."""
    if created:
        return Action.CREATED if before is None and not course.anew else Action.RECREATED
    if before is None or before.uid != after.uid or course.wrote:
        return Action.CONFIGURED
    if before.revision == after.revision:
        return Action.UNCHANGED
    same_text = before.desired == after.desired
    return Action.UNCHANGED if before.own == after.own and same_text else Action.CONFIGURED
