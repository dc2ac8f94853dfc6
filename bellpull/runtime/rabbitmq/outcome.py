"""How the sending of a message ends."""

from enum import StrEnum

__all__ = ["Outcome"]


class Outcome(StrEnum):
    """How an attempt ended."""

    CONFIRMED = "confirmed"
    """The broker has it, in every queue that wants it."""
    UNWANTED = "unwanted"
    """No queue wants it, and none should."""
    RETURNED = "returned"
    """No queue took it, although somebody who is enrolled should hear it."""
    NACKED = "nacked"
    """A queue had no room, or the broker failed."""
    TIMED_OUT = "timed out"
    """Nothing was said in time; it may still arrive."""
    CLOSED = "closed"
    """The broker closed the channel meanwhile."""
    LOST = "lost"
    """The connection went, or nothing was sent."""
    GONE = "gone"
    """The journal has the row no more; a resync stands for it (R1)."""
