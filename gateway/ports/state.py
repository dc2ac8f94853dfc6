"""What agents said: their words, and how they were heard last. Losing it costs one round of heartbeats (R9).

It moves only forward in an agent's (epoch, seq); an agent's clock orders nothing (R18). Beside it is what nobody
sends again: what other gateways accepted (R22), and the refused deliveries; losing those costs a list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bellpull.contract.report import Heartbeat, Report, SyncState
from bellpull.contract.text import CommitId, Name
from gateway.core.answer import Announcement, Answer
from gateway.core.rejections import Changes, Rejection

__all__ = ["Heard", "LastHeard", "Put", "State", "StateError"]


class StateError(Exception):
    """The state cannot be written now; the agent sends it again."""


class Put(StrEnum):
    """What became of an agent's message."""

    STORED = "stored"
    KNOWN = "known"
    """The same (agent, epoch, seq) was stored before; nothing changed."""
    BEHIND = "behind"
    """Of an earlier epoch than was heard already: a standby, or an agent that lost its counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of a message, whether the agent should send its full state, and the highest epoch heard of it."""

    put: Put
    want_full: bool
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastHeard:
    """How an agent was heard last.

    Attributes:
        heard: when, by the gateway's clock.
        environment: of its last message.
        version: of its last heartbeat.
        syncs: its last full state, if it ever sent one.
        full: (epoch, seq) of that.
    """

    heard: datetime
    environment: Name
    version: str | None
    syncs: tuple[SyncState, ...] | None
    full: tuple[int, int] | None


class State(Protocol):
    """The state, as everything else sees it. Methods that wait never block the loop."""

    async def put_report(self, report: Report, *, issued: datetime, received: datetime) -> Heard:
        """Keep a report whose seal was made at `issued` (the agent's clock) and which came at `received` (ours).

        Raises:
            StateError: it cannot be written now.
        """
        ...

    async def put_heartbeat(self, heartbeat: Heartbeat, *, issued: datetime, received: datetime) -> Heard:
        """Keep a heartbeat, and the words that a full one carries.

        Raises:
            StateError: it cannot be written now.
        """
        ...

    async def agents(self) -> Mapping[Name, LastHeard]:
        """Return how every agent was heard last."""
        ...

    async def answers(self, repository: str, ref: str, since: datetime) -> tuple[Answer, ...]:
        """Return the words for `ref` of `repository` (key) that came at or after `since`, in the order they came.

        Words of Syncs with a range of versions are among them whatever `ref` is.
        """
        ...

    async def put_announcement(self, announcement: Announcement) -> None:
        """Keep what another gateway accepted; what is known by its event id stays as it is.

        Raises:
            StateError: it cannot be written now.
        """
        ...

    async def announcements(self, commit: CommitId) -> tuple[Announcement, ...]:
        """Return where other gateways announced `commit` as a ref's tip, oldest first."""
        ...

    async def later(self, announcement: Announcement) -> tuple[Announcement, ...]:
        """Return what other gateways announced of the same ref after `announcement`, oldest first."""
        ...

    async def rejections(self) -> tuple[Rejection, ...]:
        """Return the refused deliveries that were kept."""
        ...

    async def keep_rejections(self, changes: Changes) -> None:
        """Bring those that are kept up to date.

        Raises:
            StateError: it cannot be written now.
        """
        ...

    async def watch(self) -> None:
        """Wait for ever, for the day the disk fails.

        Raises:
            DiskFailed: it did; the process must end.
        """
        ...
