"""Running a program: signals, the loop, and what is said when it ends.

SIGTERM or SIGINT sets the stop event and the program drains; a second one ends it at once. Errors that a person can
mend (`Fatal`, ConfigError, OSError) become one line each; any other is a defect and shows where it came from.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NoReturn

from bellpull.runtime import open_files
from bellpull.runtime.config import ConfigError
from bellpull.runtime.logs import logger

__all__ = ["INTERRUPTED", "Fatal", "calm_collector", "leaves", "run"]

INTERRUPTED: Final = 130
_YOUNG: Final = 10_000
"""Objects that may be made before cycles are looked for; JSON of one push is a hundred."""
_log: Final = logger("service")


class Fatal(Exception):  # noqa: N818  # it ends the program, which is no error of the caller
    """Ends the program with a message for people and an exit code."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run `main` until it returns, and return the exit code; `main` is given the event that asks it to stop.

    Raises:
        ConfigError: `main` raised it: for the command line to show.
    """
    ended: list[BaseException] = []
    calm_collector()
    open_files.allow()
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_until_stopped(main))
    except* (Fatal, ConfigError, OSError) as expected:
        ended.extend(leaves(expected))
    for error in ended:
        if isinstance(error, ConfigError):
            raise error
        _log.error("ended", problem=str(error), kind=type(error).__name__)
    return max((getattr(error, "code", 1) for error in ended), default=0)


def calm_collector() -> None:
    """Keep Python's collector of cycles from what was imported, and from looking after every few requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


async def _until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask_to_stop, stop, number)
    await main(stop)


def _ask_to_stop(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        _end_now()
    _log.info("stopping", signal=number.name)
    stop.set()


def _end_now() -> NoReturn:
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  # only there on Linux
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors in a group, and in the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
