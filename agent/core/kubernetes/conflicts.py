"""Whose fields are in the way of ours, and which."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from agent.core.kubernetes.answers import Cause
from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.fields import Entry, items, paths
from agent.core.kubernetes.policy import Conflicts, Policy

__all__ = ["Claim", "Verdict", "is_taken", "others", "owns_near", "shown", "stands_in_the_way", "verdict"]

_MAX_SHOWN: Final = 5
_INDEX: Final = re.compile(r"\[[^\]]*\]")


class Claim(StrEnum):
    """What becomes of an object on first touch, where others own what Git sets (M3)."""

    TAKE = "take"
    """The fields are taken."""
    TAKE_FROM_SYNC = "take-from-sync"
    """The whole object is taken from another Sync."""
    LEAVE = "leave"
    """It stays as it is."""
    REFUSE = "refuse"
    """It stays as it is, and that is an error."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim, and what a person is told."""

    claim: Claim
    text: str


def verdict(causes: Sequence[Cause], policy: Policy, *, adopt: bool) -> Verdict:
    """Return what is done about conflicts; `adopt` says that the object asks to be taken from another Sync."""
    if any(cause.field.endswith(PART_OF) for cause in causes):
        owners = ", ".join(others(causes))
        if adopt or policy.adopt:
            return Verdict(Claim.TAKE_FROM_SYNC, f"taken over from {owners}")
        how = "set the annotation bellpull.dev/adopt: enabled on it to take it over"
        return Verdict(Claim.REFUSE, f"belongs to {owners}; {how}")
    match policy.conflicts:
        case Conflicts.FORCE:
            return Verdict(Claim.TAKE, f"taken over: {shown(causes)}")
        case Conflicts.REPORT:
            return Verdict(Claim.LEAVE, f"left as it is: {shown(causes)}")
        case Conflicts.FAIL:
            return Verdict(Claim.REFUSE, f"others own what Git sets: {shown(causes)}")
        case _:
            assert_never(policy.conflicts)


def is_taken(causes: Iterable[Cause]) -> bool:
    """Whether another applied its own label since: the object is another Sync's, or of a set of another tool."""
    return any(cause.field.endswith(PART_OF) and " using " not in cause.message for cause in causes)


def others(causes: Iterable[Cause]) -> tuple[str, ...]:
    """Return the managers that conflicts are with, each once."""
    return tuple(dict.fromkeys(cause.manager for cause in causes if cause.manager is not None))


def shown(causes: Sequence[Cause]) -> str:
    """Return conflicts for people: `.spec.replicas of kubectl-edit, .data.k of helm`."""
    each = [f"{cause.field} of {cause.manager}" for cause in causes if cause.manager is not None]
    more = f" and {len(each) - _MAX_SHOWN} more" if len(each) > _MAX_SHOWN else ""
    return ", ".join(each[:_MAX_SHOWN]) + more


def stands_in_the_way(entry: Entry, fields: Iterable[str]) -> bool:
    """Whether a manager wrote, and did not apply, fields of which a refusal names one, or one above or below (M4)."""
    return entry.get("operation") == "Update" and not entry.get("subresource") and owns_near(entry, fields)


def owns_near(entry: Entry, fields: Iterable[str]) -> bool:
    """Whether a manager owns one of the fields, one above or below, or one beside it in its item of a list.

    Fields are compared without the items they are in, as a refusal has an item's place and an entry its key.
    """
    named = [f".{_INDEX.sub('', field)}" for field in fields if field]
    known = entry.get("fieldsV1") or {}
    owned = {_INDEX.sub("", path) for path in (*paths(known), *items(known))}
    return any(_is_within(one, other) or _is_within(other, one) for one in named for other in owned)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")
