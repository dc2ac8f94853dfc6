"""What a Sync is allowed, and what became of each of its objects."""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.kubernetes.answers import RefusalKind
from agent.core.kubernetes.ignoring import IgnoreRule
from agent.core.kubernetes.inventory import Record
from agent.core.kubernetes.object import ObjectId, Origin

__all__ = ["Action", "Awaits", "Conflicts", "Done", "OnDrift", "Policy", "Undone"]


class Conflicts(StrEnum):
    """What to do with an object that is there already, with other values of somebody else."""

    FORCE = "force"
    """Take the fields, and say from whom."""
    FAIL = "fail"
    """Leave it, and fail."""
    REPORT = "report"
    """Leave it, and say so."""


class OnDrift(StrEnum):
    """What to do about an object that others changed since it was applied."""

    CORRECT = "correct"
    """Make it what Git says, at once."""
    DETECT = "detect"
    """Say so, and leave it until the next commit."""
    OFF = "off"
    """Do not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one Sync applies.

    Attributes:
        manager: its field manager.
        parent: its ApplySet id.
        conflicts: with others than Syncs.
        force: whether objects may be made anew for a field that may not change; an object may ask for it too.
        adopt: whether objects may be taken from other Syncs; an object may ask for it too.
        prune: whether what Git no longer has is deleted.
        max_deletions: how many of a hundred objects may go (P9).
        accept: whether any number may go this once.
        ignore: fields that are the cluster's to say once an object is there.
        key: for hashes of what is applied; without one they are not kept.
    """

    manager: str
    parent: str
    conflicts: Conflicts = Conflicts.FORCE
    force: bool = False
    adopt: bool = False
    prune: bool = True
    max_deletions: int = 50
    accept: bool = False
    ignore: tuple[IgnoreRule, ...] = ()
    key: bytes | None = None


class Action(StrEnum):
    """What was done to an object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    RECREATED = "recreated"
    SKIPPED = "skipped"
    """Left as it is, because it or somebody asks for that."""
    DELETED = "deleted"
    KEPT = "kept"
    """No longer in Git, and not deleted; the note says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of an object.

    Attributes:
        id: which.
        action: what was done.
        record: what is remembered of it.
        notes: what a person should know: what was taken from whom, warnings of the server.
    """

    id: ObjectId
    action: Action
    record: Record | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaits:
    """What others make, or end, before an object can be made: then it is tried again at once.

    Attributes:
        id: which object.
        to_go: whether it has to be gone, or made anew; else it has to be there.
    """

    id: ObjectId
    to_go: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """An object that could not be made what it is to be.

    Attributes:
        id: which.
        origin: where it was written; none for one that was to be deleted.
        problem: why, and what to do.
        passes: whether trying again may help with nothing changed.
        awaits: what it needs of others.
        refused: what the API server answered, if that is why.
    """

    id: ObjectId
    origin: Origin | None = None
    problem: str
    passes: bool
    awaits: Awaits | None = None
    refused: RefusalKind | None = None

    @property
    def is_alone(self) -> bool:
        """Whether what comes after it is applied all the same: the server of a webhook may be among that."""
        return self.refused in (RefusalKind.NO_KIND, RefusalKind.WEBHOOK_DOWN)

    def __str__(self) -> str:
        """For people: `Deployment/shop/web (apps/web.yaml:14): ...`."""
        return f"{self.id}{f' ({self.origin})' if self.origin else ''}: {self.problem}"
