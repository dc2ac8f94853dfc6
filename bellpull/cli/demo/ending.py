"""How the demo ends: an interruption ends what is shown, and never what is cleaned up."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from bellpull.cli.demo.git_server import GitServerError
from bellpull.cli.demo.program import WorldError
from bellpull.cli.failure import FailureError

__all__ = ["INTERRUPTED", "interruptible", "to_its_end"]

INTERRUPTED: Final = 130
"""The exit code of what was interrupted, as a shell has it for SIGINT."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_T = TypeVar("_T")


async def interruptible(running: Coroutine[Any, Any, int]) -> int:
    """Return its exit code; SIGINT and SIGTERM alike end it, and it takes down what it started.

    A build that gives up sends the second. Only the first signal counts: whoever presses Ctrl-C again would stop what
    cleans up. Until the process ends, further ones are ignored.

    Raises:
        FailureError, WorldError, GitServerError: it could not go on, and nobody interrupted it.
    """
    task, loop, interrupted = asyncio.current_task(), asyncio.get_running_loop(), False
    assert task is not None  # noqa: S101 - this is a coroutine

    def end() -> None:
        nonlocal interrupted
        if interrupted:  # two that came at once are both under way here
            return
        interrupted = True
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        print("Interrupted: everything is taken down; this ends by itself.", file=sys.stderr, flush=True)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    try:
        code = await running
    except asyncio.CancelledError:
        return INTERRUPTED
    except FailureError as error:
        if not interrupted:
            raise
        print(error, file=sys.stderr)
        return INTERRUPTED
    except (WorldError, GitServerError):
        if not interrupted:
            raise
        return INTERRUPTED  # Ctrl-C ends the programs, too: that one of them is gone is no news
    return INTERRUPTED if interrupted else code


async def to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Do `work`; an interruption waits for its end, and goes on then.

    Raises:
        Exception: what `work` raises, also where it was interrupted.
    """
    done = asyncio.gather(work)
    try:
        return (await asyncio.shield(done))[0]
    except asyncio.CancelledError:
        await asyncio.wait([done])
        done.result()  # what went wrong is more than that somebody interrupted it
        raise
