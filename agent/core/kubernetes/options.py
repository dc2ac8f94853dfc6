"""What an object's own annotations ask of whoever applies it; labels do as well, and Flux's names do as well."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agent.core.kubernetes.object import Object

__all__ = ["How", "Options", "options_of"]

_OURS: Final = "bellpull.dev/"
_FLUX: Final = "kustomize.toolkit.fluxcd.io/"


class How(StrEnum):
    """How an object is applied."""

    OVERRIDE = "override"
    """What Git says is so; what tools like kubectl left behind goes."""
    MERGE = "merge"
    """What Git says is so; what others wrote beside it stays, kubectl's too."""
    IF_NOT_PRESENT = "if-not-present"
    """Made where it is missing, and never changed."""
    IGNORE = "ignore"
    """Not touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked.

    Attributes:
        how: it is applied.
        force: whether it may be deleted and made anew for a field that may not change (M12).
        cascade: whether so may one that takes data, or others, with it.
        prune: whether it is deleted when Git no longer has it.
        adopt: whether it may be taken from another Sync (M3).
    """

    how: How = How.OVERRIDE
    force: bool = False
    cascade: bool = False
    prune: bool = True
    adopt: bool = False


_NOTHING: Final = Options()
_HOW: Final = {
    "override": How.OVERRIDE,
    "merge": How.MERGE,
    "if-not-present": How.IF_NOT_PRESENT,
    "ifnotpresent": How.IF_NOT_PRESENT,
    "ignore": How.IGNORE,
}


def options_of(item: Object) -> Options:
    """Return what the annotations and labels of an object ask."""
    metadata = item.get("metadata") or {}
    if not metadata.get("annotations") and not metadata.get("labels"):
        return _NOTHING
    ignored = _says(item, f"{_FLUX}reconcile", "disabled")
    how = _HOW.get(_value(item, f"{_OURS}apply") or _value(item, f"{_FLUX}ssa"), How.OVERRIDE)
    cascade = _says(item, f"{_OURS}force", "cascade")
    return Options(
        how=How.IGNORE if ignored else how,
        cascade=cascade,
        force=cascade or _says(item, f"{_OURS}force", "enabled") or _says(item, f"{_FLUX}force", "enabled"),
        prune=not (_says(item, f"{_OURS}prune", "disabled") or _says(item, f"{_FLUX}prune", "disabled")),
        adopt=_says(item, f"{_OURS}adopt", "enabled"),
    )


def _says(item: Object, name: str, value: str) -> bool:
    return _value(item, name) == value


def _value(item: Object, name: str) -> str:
    metadata: dict[str, Any] = item.get("metadata") or {}
    for where in ("annotations", "labels"):
        value = (metadata.get(where) or {}).get(name)
        if isinstance(value, str):
            return value.lower()
    return ""
