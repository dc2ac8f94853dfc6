"""Whose fields are in the way of ours, and which."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from agent.core.kubernetes.answers import Cause
from agent.core.kubernetes.fields import Entry, paths

__all__ = ["others", "shown", "stands_in_the_way"]

_MAX_SHOWN: Final = 5
_INDEX: Final = re.compile(r"\[[^\]]*\]")


def others(causes: Iterable[Cause]) -> tuple[str, ...]:
    """Return the managers that conflicts are with, each once."""
    return tuple(dict.fromkeys(cause.manager for cause in causes if cause.manager is not None))


def shown(causes: Sequence[Cause]) -> str:
    """Return conflicts for people: `.spec.replicas of kubectl-edit, .data.k of helm`."""
    each = [f"{cause.field} of {cause.manager}" for cause in causes if cause.manager is not None]
    more = f" and {len(each) - _MAX_SHOWN} more" if len(each) > _MAX_SHOWN else ""
    return ", ".join(each[:_MAX_SHOWN]) + more


def stands_in_the_way(entry: Entry, fields: Iterable[str]) -> bool:
    """Whether a manager wrote fields of which a refusal names one, or one above or below (M4).

    Fields are compared without the items they are in, as a refusal has an item's place and an entry its key.
    """
    if entry.get("operation") != "Update" or entry.get("subresource"):
        return False
    named = [f".{_INDEX.sub('', field)}" for field in fields if field]
    owned = [_INDEX.sub("", path) for path in paths(entry.get("fieldsV1") or {})]
    return any(_is_within(one, other) or _is_within(other, one) for one in named for other in owned)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")
