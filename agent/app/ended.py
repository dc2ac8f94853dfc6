"""How a run ended, for the inbox."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from bellpull.contract.text import MessageId

__all__ = ["End", "Postponed", "Waiting"]


class End(Enum):
    """How a run ended, for the inbox."""

    DONE = auto()
    FAILED = auto()
    INTERRUPTED = auto()
    """It waited for health, and there is something else to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Git does not show what was announced; what was announced before may have been made meanwhile."""

    answered: frozenset[MessageId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The run did not look at Git: events made this agent look at the remote in vain too often (R29)."""

    until: datetime
