"""How to come back to the gateway: after which pause, and by which way.

**Pauses** (R17). A pause is drawn from zero up to a ceiling, and the ceiling is the time for which nothing has been
heard, from 1 s to 30 s: a gateway that is back after two seconds is heard again within about two more, and after a
long outage a thousand agents come back over half a minute. A connection that stood is forgotten at once; one that
was only just heard raises the ceiling by a second each, so that a gateway that lets in and hangs up is left alone.

**Ways** (R16). Some proxies keep back a response until it is whole: the stream is open, and nothing comes. Twice in
a row, and the agent polls instead. Every ten minutes it tries the stream again, with little patience, as it hears
nothing meanwhile: what a stream says first comes at once, or it is kept back.

Times are seconds of a clock that only moves forward; chance is an argument, from 0 to 1.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

__all__ = ["Ending", "Patience", "Pauses", "Way", "Ways"]

_LEAST: Final = 0.1
"""Part of the ceiling that is waited at least: chance alone may not make a hot loop."""
_CEILING_S: Final = (1.0, 30.0)
_REFUSED_CEILING_S: Final = (10.0, 60.0)
"""Of an agent that is not let in, which only a person can change."""
_STOOD_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """What decides how long to leave the gateway alone.

    Attributes:
        lost: since when nothing is heard.
        brief: connections in a row that were heard and did not stand.
    """

    lost: float
    brief: int = 0

    def after(self, now: float, *, heard: float | None) -> "Pauses":
        """Return what holds after an attempt ended at `now`; `heard` is when it was first heard, if ever."""
        if heard is None:
            return self
        return Pauses(lost=now, brief=self.brief + 1 if now - heard < _STOOD_S else 0)

    def ceiling_s(self, now: float, *, refused: bool = False) -> float:
        """Return the longest that the next pause may be; `refused` says that the agent was not let in."""
        least, most = _REFUSED_CEILING_S if refused else _CEILING_S
        return min(max(now - self.lost, self.brief, least), most)

    def pause_s(self, now: float, chance: float, *, refused: bool = False) -> float:
        """Return the next pause."""
        return self.ceiling_s(now, refused=refused) * max(chance, _LEAST)


class Way(StrEnum):
    """How events come."""

    STREAM = "stream"
    POLL = "poll"


class Ending(StrEnum):
    """How a try of the stream ended."""

    UNOPENED = "unopened"
    """It could not be had, or was refused, and that was said soon."""
    SPOKE = "spoke"
    """It spoke soon, and ended in whatever way but by falling silent."""
    SILENT = "silent"
    """It was open, and nothing came in time: at first, or after a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The agreed numbers.

    Attributes:
        silence_s: without a byte for so long, a connection is dead (three ticks).
        silences: so many in a row, and the stream is given up.
        stream_again_s: for how long; then it is tried again.
        soon_s: a stream speaks at once, also over the slowest network; what was not heard by then is kept back.
        wait_s: for how long a poll asks to be kept.
    """

    silence_s: float = 45.0
    silences: int = 2
    stream_again_s: float = 600.0
    soon_s: float = 10.0
    wait_s: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What decides between the stream and polls.

    Attributes:
        silent: streams in a row that ended in silence.
        stream_at: when the stream is to be tried again; None while it is in use.
    """

    silent: int = 0
    stream_at: float | None = None

    def way(self, now: float) -> Way:
        """Return which way to use now."""
        return Way.STREAM if self.stream_at is None or now >= self.stream_at else Way.POLL

    def first_s(self, patience: Patience) -> float:
        """Return how long to wait for the first byte of a stream."""
        return patience.silence_s if self.stream_at is None else patience.soon_s

    def after(self, ending: Ending, now: float, patience: Patience, *, stood_s: float) -> "Ways":
        """Return what holds after a stream ended at `now`, `stood_s` after it was begun.

        One that stood as long as polling would have lasted was a way, whatever ended it.
        """
        match ending:
            case Ending.UNOPENED:
                return self
            case Ending.SPOKE:
                return Ways()
            case Ending.SILENT:
                silent = 1 + (self.silent if stood_s < patience.stream_again_s else 0)
                again = now + patience.stream_again_s if silent >= patience.silences else None
                return Ways(silent=silent, stream_at=again)
            case _:
                assert_never(ending)
