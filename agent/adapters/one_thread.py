"""One thread for work that blocks: in the order it was asked for, and never left alone when nobody waits any more."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["OneThread"]

_T = TypeVar("_T")


class _AbandonedError(Exception):
    """Whoever asked for this no longer wants it."""


class OneThread:
    """Does one thing at a time."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def do(self, work: Callable[[Callable[[], None]], _T]) -> _T:
        """Do `work` after all that was asked for before; when cancelled, tell it so and wait until it ended.

        Args:
            work: is given a function that raises where it is to end early.
        """
        abandoned = threading.Event()

        def go_on() -> None:
            if abandoned.is_set():
                raise _AbandonedError

        job = self._thread.submit(work, go_on)
        running = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            abandoned.set()
            if not job.cancel():
                await asyncio.wait({running})
                running.exception()  # nobody is left to hear it
            raise

    def close(self) -> None:
        """Take nothing more."""
        self._thread.shutdown(wait=False)
