"""What an agent says: what became of a commit, and that it is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bellpull.contract.codec import LATER
from bellpull.contract.errors import ContractError
from bellpull.contract.repository import Ref, Repository
from bellpull.contract.text import CommitId, MessageId, Name, Note, SyncName, TreePath
from bellpull.contract.word import Word

__all__ = [
    "Counts",
    "FailingObject",
    "Health",
    "HealthStatus",
    "Heartbeat",
    "NotHearing",
    "Outcome",
    "Report",
    "ReportHops",
    "StageSeconds",
    "SyncState",
    "Trigger",
    "TriggerKind",
    "Watches",
]

_MAX_FAILING: Final = 10
_MAX_WORDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Watches:
    """What a Sync reads: a repository, one ref of it or a range of versions, and a folder."""

    repository: Repository
    ref: Ref | None = None
    range: str | None = None
    path: TreePath = TreePath("")


class TriggerKind(StrEnum):
    """What started a reconcile."""

    EVENTS = "events"
    INTERVAL = "interval"
    DRIFT = "drift"
    CHANGE = "change"
    """The Sync or a credential it names changed, or what it waited for has come; a start of the agent is one."""
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What started a reconcile, and the ids of all events it answers."""

    kind: TriggerKind
    events: tuple[MessageId, ...] = ()


class HealthStatus(StrEnum):
    """How what runs is."""

    NOT_ASKED = "not asked"
    PROGRESSING = "progressing"
    HEALTHY = "healthy"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingObject:
    """One object that is not well, and why."""

    object: Note
    reason: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How what runs is, since when, and up to ten objects that are not well."""

    status: HealthStatus
    since: datetime | None = None
    failing: tuple[FailingObject, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a list that is too long."""
        if len(self.failing) > _MAX_FAILING:
            raise ContractError("failing", f"has more than {_MAX_FAILING} objects")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many objects (files, where the target is a directory) a run created, changed, left alone, deleted."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSeconds:
    """How long each stage of a run took, in seconds; null where it was not entered."""

    fetch: float | None = None
    verify: float | None = None
    render: float | None = None
    plan: float | None = None
    apply: float | None = None
    prune: float | None = None
    judge: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHops:
    """When it was where: the event's own hops as the agent heard them, then heard, started, finished (its clock)."""

    started: datetime
    finished: datetime
    pushed: datetime | None = None
    received: datetime | None = None
    accepted: datetime | None = None
    heard: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a Sync says of a commit. `epoch` and `seq` order an agent's messages (R18); its clock orders nothing."""

    agent: Name
    environment: Name
    epoch: int
    seq: int
    sync: SyncName
    watches: Watches
    trigger: Trigger
    word: Word
    hops: ReportHops
    commit: CommitId | None = None
    tree: CommitId | None = None
    superseded_by: CommitId | None = None
    contained: bool | None = None
    health: Health = Health(status=HealthStatus.NOT_ASKED)
    signer: str | None = None
    counts: Counts = Counts()
    stages: StageSeconds = StageSeconds()
    policy: str | None = None
    message: Note = Note("")

    def __post_init__(self) -> None:
        """Refuse words that lack what they need."""
        if self.word is Word.SUPERSEDED and self.superseded_by is None:
            raise ContractError("superseded_by", "is missing: superseded says by which commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One of a Sync's last ten words, kept until the gateway has it (R36)."""

    word: Word
    commit: CommitId | None
    events: tuple[MessageId, ...]
    finished: datetime
    superseded_by: CommitId | None = None
    contained: bool | None = None
    message: Note = Note("")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHearing:
    """Events do not reach a Sync (R31): since when, by the agent's clock, and why. Meanwhile it polls each minute."""

    since: datetime
    reason: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """Where a Sync stands, and its last ten words, newest last."""

    sync: SyncName
    watches: Watches
    word: Word
    commit: CommitId | None
    applied: CommitId | None
    health: Health = Health(status=HealthStatus.NOT_ASKED)
    message: Note = Note("")
    outcomes: tuple[Outcome, ...] = ()
    not_hearing: NotHearing | None = field(default=None, metadata=LATER)
    """Null while events reach it."""

    def __post_init__(self) -> None:
        """Refuse a history that is too long."""
        if len(self.outcomes) > _MAX_WORDS:
            raise ContractError("outcomes", f"has more than {_MAX_WORDS} words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """An agent is there: a digest, or with `full` the state of every Sync it has; what is absent there is gone."""

    agent: Name
    environment: Name
    epoch: int
    seq: int
    version: str
    syncs: int
    state: str
    """Hash of the full state: two digests with the same one have the same state."""
    words: Mapping[Word, int] = field(default_factory=dict)
    last_event: MessageId | None = None
    full: tuple[SyncState, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse two states of one Sync."""
        names = [state.sync for state in self.full or ()]
        if len(set(names)) != len(names):
            raise ContractError("full", "has a Sync twice")
