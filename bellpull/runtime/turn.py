"""What comes in one turn of the event loop, dealt with in one piece.

A processor runs the same code for many things, one after the other, a good deal faster than each thing from its
beginning to its end: it still has the code, and where its branches went. So what many requests need is collected,
and done when all that is ready in this turn of the loop has had its say: no request waits for another turn's.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Turn"]

_T = TypeVar("_T")


class Turn(Generic[_T]):
    """Collects things.

    Not to be shared between threads.

    Args:
        deal: takes what was collected, never nothing; what it raises goes to the loop's exception handler.
        at_once: as soon as there are so many, they are dealt with before the turn ends.
    """

    __slots__ = ("_at_once", "_deal", "_items", "_loop")

    def __init__(self, deal: Callable[[list[_T]], None], *, at_once: int | None = None) -> None:
        self._deal = deal
        self._at_once = at_once
        self._items: list[_T] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """Which of them ends the turn: another than before, if that stopped before it could."""

    def add(self, item: _T) -> None:
        """Collect `item`.

        Raises:
            RuntimeError: no loop runs in this thread.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self.end)
        self._items.append(item)
        if len(self._items) == self._at_once:
            self.end()

    def end(self) -> None:
        """Deal with what was collected, now."""
        self._loop = None
        if self._items:
            items, self._items = self._items, []
            self._deal(items)
