"""What a rule says of an object."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Judgement", "Status", "current", "failed", "in_progress"]


class Status(StrEnum):
    """How an object is; the names are those of kstatus."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How an object is, why (one word; empty where it is as it is to be), and the same for people."""

    status: Status
    reason: str
    message: str


def current(message: str) -> Judgement:
    """It is as it is to be."""
    return Judgement(Status.CURRENT, "", message)


def in_progress(reason: str, message: str) -> Judgement:
    """It is on its way."""
    return Judgement(Status.IN_PROGRESS, reason, message)


def failed(reason: str, message: str) -> Judgement:
    """It will not come about by itself, as far as can be seen."""
    return Judgement(Status.FAILED, reason, message)
