"""An object that is being deleted: since when, and what keeps it."""

from typing import Any, Final

from agent.core.kubernetes.object import Object

__all__ = ["why_going"]

_HOLDING: Final = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
)
"""Conditions by which a namespace says why it is not gone yet; research/apply.md, section 7."""


def why_going(item: Object) -> str:
    """Return since when an object, or its metadata, is being deleted, and what holds it, as far as it says so."""
    metadata = item["metadata"]
    conditions = (item.get("status") or {}).get("conditions") or []
    holding = [_said(each) for each in conditions if each.get("type") in _HOLDING and each.get("status") == "True"]
    held = "; ".join(holding) or ", ".join(metadata.get("finalizers") or ["what depends on it"])
    return f"is being deleted since {metadata.get('deletionTimestamp')}, held by {held}"


def _said(condition: Any) -> str:
    return f"{condition['type']} ({condition.get('message') or condition.get('reason') or 'no reason given'})"
