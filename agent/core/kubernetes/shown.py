"""Objects as they may be shown to a person: without what the server keeps for itself, and without secrets.

A value of a Secret is `***`; where two versions of it differ, `*** (before)` and `*** (after)`, so that a difference
is seen and its content is not. Nor is it in a refusal: servers quote what they do not take.
"""

import re
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

from agent.core.kubernetes.answers import Refusal, RefusalKind
from agent.core.kubernetes.object import Object

__all__ = ["compared", "restorable", "told"]

_SERVERS: Final = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
_JOBS: Final = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
_HIDDEN: Final = "***"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""A copy of the whole object, values of a Secret among them."""
_QUOTING: Final = (RefusalKind.INVALID, RefusalKind.IMMUTABLE, RefusalKind.UNKNOWN_FIELD, RefusalKind.BAD)
_FIELDS: Final = re.compile(r"(?:^\s*|\): )(\.[\w.\[\]-]+): ", re.MULTILINE)
"""What stands before the colon of each line of `failed to create typed patch object`."""


def told(refused: Refusal, item: Object) -> str:
    """Return what a refusal of `item` says, and what to do; of a Secret without words that may quote a value."""
    if not _is_secret(item) or refused.kind not in _QUOTING:
        return refused.advice()
    fields = [cause.field for cause in refused.causes if cause.field] or _FIELDS.findall(refused.message)
    where = ", ".join(fields) or "it"
    return replace(refused, message=f"the API server refused {where} ({refused.kind}, {refused.status})").advice()


def compared(live: Object | None, planned: Object | None) -> tuple[Object | None, Object | None]:
    """Return what is there and what would be, as they may be shown one above the other.

    Args:
        live: the object as it is; None where there is none.
        planned: the object as it would be, as a dry run answered; None where it would be deleted.
    """
    before, after = _bare(live), _bare(planned)
    if _is_secret(before) or _is_secret(after):
        for field in ("data", "stringData"):
            _hide(before, after, field)
    return before, after


def restorable(item: Object) -> Object:
    """Return an object as it can be created again: with its spec, labels and annotations."""
    bare = deepcopy(item)
    bare.pop("status", None)
    for field in (*_SERVERS, "deletionTimestamp", "deletionGracePeriodSeconds"):
        bare["metadata"].pop(field, None)
    if (bare.get("apiVersion"), bare.get("kind")) == ("batch/v1", "Job") and not bare["spec"].get("manualSelector"):
        _unselect(bare)
    return bare


def _unselect(job: Object) -> None:
    """Take out by what a Job finds its pods: the server makes that from its uid, and takes no other."""
    job["spec"].pop("selector", None)
    for where in (job, job["spec"]["template"]):
        labels = where["metadata"].get("labels") or {}
        for name in _JOBS:
            labels.pop(name, None)


def _bare(item: Object | None) -> Object | None:
    if item is None:
        return None
    bare = deepcopy(item)
    bare.pop("status", None)
    metadata = bare.get("metadata", {})
    for field in _SERVERS:
        metadata.pop(field, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop(_LAST_APPLIED, None)
    if not annotations:
        metadata.pop("annotations", None)
    return bare


def _is_secret(item: Object | None) -> bool:
    return item is not None and (item.get("apiVersion"), item.get("kind")) == ("v1", "Secret")


def _hide(before: Object | None, after: Object | None, field: str) -> None:
    old, new = _values(before, field), _values(after, field)
    for key in old.keys() | new.keys():
        both = key in old and key in new
        same = both and old[key] == new[key]
        if key in old:
            old[key] = _HIDDEN if same or not both else f"{_HIDDEN} (before)"
        if key in new:
            new[key] = _HIDDEN if same or not both else f"{_HIDDEN} (after)"


def _values(item: Object | None, field: str) -> dict[str, Any]:
    values = (item or {}).get(field)
    return values if isinstance(values, dict) else {}
