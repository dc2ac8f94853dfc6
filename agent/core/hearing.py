"""Whether events reach this agent, for each repository: the condition Hearing (R31).

It is false for all Syncs when nothing came for longer than its way may be silent (gateways tick), and for a Sync
whose repository is not in the agent's enrolment record, of which no event will ever come. Where it is false a Sync
looks by itself every `BACKSTOP` at least, as whoever holds back events must not gain five minutes by it. An agent
that just began is taken to hear until it was silent for as long; so are all repositories while the record is not
known.

Which repositories were added to the record is decided here too: their Syncs are to be looked at at once (R15).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from agent.core.inbox import Pace
from agent.core.outcome import note
from bellpull.contract.patterns import matches
from bellpull.contract.report import NotHearing

__all__ = ["BACKSTOP", "Hearing", "added", "polling"]

BACKSTOP: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What is known of the way from the gateway.

    Attributes:
        begun: when listening began.
        silence: for how long nothing may come while all is well.
        heard: when the last frame came; none for never.
        broken: how the last connection ended, or why there is none; empty since a frame came.
        repositories: the patterns of the enrolment record; none while they are not known.
        told: since when they are these.
    """

    begun: datetime
    silence: timedelta
    heard: datetime | None = None
    broken: str = ""
    repositories: tuple[str, ...] | None = None
    told: datetime | None = None

    def frame(self, now: datetime) -> Self:
        """A frame came."""
        return replace(self, heard=now, broken="")

    def lost(self, reason: str) -> Self:
        """A connection ended, or none could be had."""
        return replace(self, broken=reason)

    def record(self, repositories: tuple[str, ...], now: datetime) -> Self:
        """The enrolment record names these repositories."""
        if repositories == self.repositories:
            return self
        return replace(self, repositories=repositories, told=now)

    def silent_from(self) -> datetime:
        """Return when silence has lasted for too long, unless a frame comes before."""
        return (self.heard or self.begun) + self.silence

    def missing(self, repository: str, now: datetime) -> NotHearing | None:
        """Return why events of `repository` (a key) do not come, and since when; nothing where they do."""
        if now >= self.silent_from():
            why = f": {self.broken}" if self.broken else ""
            reason = note(f"nothing came from the gateway for {self.silence.total_seconds():.0f} s{why}")
            return NotHearing(since=self.heard or self.begun, reason=reason)
        if self.repositories is None or self.told is None or matches(self.repositories, repository):
            return None
        reason = note(f"{repository} is not among the repositories of this agent's enrolment record")
        return NotHearing(since=self.told, reason=reason)


def added(before: Iterable[str] | None, now: Iterable[str], repository: str) -> bool:
    """Whether events of `repository` come only since the record changed; `before` is none where it was not known."""
    return before is not None and matches(now, repository) and not matches(before, repository)


def polling(pace: Pace) -> Pace:
    """Return the pace of a Sync whose events do not come."""
    interval = min(pace.interval, BACKSTOP)
    return Pace(interval=interval, retry=min(pace.retry, interval))
