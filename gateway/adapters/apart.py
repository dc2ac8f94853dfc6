"""Large deliveries, verified and decoded in processes apart: in ours they would hold the interpreter's lock.

One of 18 MiB held up everybody else for 0.2 to 0.35 s when it was decoded in a thread (R41). A process is started for
the first, kept while there are more, and ended after a minute without: most gateways never have one. Two at most.

Only what is authentic gets there: signatures are checked in a thread before, without that lock, so that strangers
start no processes.
"""

import asyncio
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from typing import Final, Self

from gateway.adapters.receiver import LENGTH, LENGTHS, described, refused
from gateway.core.receive import Outcome, Rejected, Source
from gateway.core.request import Request

__all__ = ["Apart"]

_AT_ONCE: Final = 2
_KEEP_S: Final = 60.0
_MODULE: Final = "gateway.adapters.receiver"


class Apart:
    """Receives deliveries elsewhere; a context, at whose end the processes end."""

    def __init__(self, *, keep_s: float = _KEEP_S) -> None:
        self._keep_s = keep_s
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._idle: dict[Process, asyncio.TimerHandle] = {}
        self._started: set[Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        idle, self._idle = self._idle, {}
        for timer in idle.values():
            timer.cancel()
        for process in self._started:
            _end(process)
            await process.wait()

    async def receive(self, request: Request, source: Source) -> Outcome:
        """Return what becomes of a delivery; one whose process ended (for want of memory) is to come again."""
        async with self._turn:
            if (rejected := await asyncio.to_thread(refused, request, source)) is not None:
                return rejected
            try:
                process = self._taken() or await self._start()
            except OSError as error:
                return _failed(f"no process could be started: {error}")
            try:
                outcome = await _ask(process, request, source)
            except (OSError, asyncio.IncompleteReadError):
                _end(process)
                return _failed(f"the process that read it ended with code {await process.wait()}")
            except BaseException:
                _kill(process)
                raise
            self._idle[process] = asyncio.get_running_loop().call_later(self._keep_s, self._let_go, process)
            return outcome

    async def _start(self) -> Process:
        """Start one; in a session of its own, so that Ctrl-C lets it finish what the gateway still answers."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", _MODULE, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        self._started = {each for each in self._started if each.returncode is None} | {process}
        return process

    def _taken(self) -> Process | None:
        if not self._idle:
            return None
        process, timer = self._idle.popitem()
        timer.cancel()
        return process

    def _let_go(self, process: Process) -> None:
        self._idle.pop(process, None)
        _end(process)


async def _ask(process: Process, request: Request, source: Source) -> Outcome:
    into, out = process.stdin, process.stdout
    if into is None or out is None:
        raise AssertionError("unreachable: both are pipes")
    description = described(request, source)
    into.write(LENGTHS.pack(len(description), len(request.body)) + description)
    into.write(request.body)
    await into.drain()
    (size,) = LENGTH.unpack(await out.readexactly(LENGTH.size))
    outcome: Outcome = pickle.loads(await out.readexactly(size))  # noqa: S301 - our own child's
    return outcome


def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()


def _failed(reason: str) -> Rejected:
    return Rejected(status=503, reason=reason, told="it could not be read now, come again")
