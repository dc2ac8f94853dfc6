"""Writes that wait for the disk, as the loop sees them: handed over together, refused when it takes too long."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from bellpull.runtime.turn import Turn
from gateway.adapters.meter import Meter
from gateway.ports.disk import WriteRefused

__all__ = ["Job", "Waiting", "Write"]

Job = Callable[[apsw.Connection, Sequence[Any]], Sequence[Any]]
"""Writes items in a transaction, and returns something for each."""

_AT_ONCE: Final = 16
"""As soon as there are so many, they are handed over: the disk is at work while the loop is."""
_SWEEP_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Write:
    """One write: what does it and makes what it is done with, and who waits until when (the loop's clock)."""

    job: Job
    make: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    within_s: float
    until: float


class Waiting:
    """All writes of a file that nobody was answered yet.

    Args:
        path: of the file.
        hand_over: takes writes, each with what was made for it.
        meter: counts those that were refused.
    """

    def __init__(self, path: Path, hand_over: Callable[[list[tuple[Write, Any]]], None], meter: Meter | None) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._meter = meter
        self._all: list[Write] = []
        self._turn: Turn[Write] = Turn(
            lambda writes: hand_over([(write, write.make()) for write in writes]), at_once=_AT_ONCE
        )

    def add(self, job: Job, make: Callable[[], Any], within_s: float) -> "asyncio.Future[Any]":
        """Return what will have the answer of a write."""
        write = Write(job, make, self._loop.create_future(), within_s, self._loop.time() + within_s)
        if not self._all:
            self._loop.call_later(_SWEEP_S, self._sweep)
        self._all.append(write)
        self._turn.add(write)
        return write.answer

    def hand_over(self) -> None:
        """Hand over what is there, now."""
        self._turn.end()

    def refuse(self, writes: Iterable[Write], problem: str) -> None:
        """Answer those that have no answer yet."""
        for write in writes:
            if not write.answer.done():
                if self._meter is not None:
                    self._meter.refused()
                write.answer.set_exception(WriteRefused(f"{self._path}: {problem}"))

    def refuse_all(self, problem: str) -> None:
        """Answer all."""
        self.refuse(self._all, problem)

    def _sweep(self) -> None:
        """Refuse what waits for too long: one timer for all, as nearly all were answered before it comes."""
        now = self._loop.time()
        for write in self._all:
            if now >= write.until:
                self.refuse((write,), f"the disk did not take it within {write.within_s:g} s")
        self._all = [write for write in self._all if not write.answer.done()]
        if self._all:
            self._loop.call_later(_SWEEP_S, self._sweep)
