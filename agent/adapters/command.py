"""A command that is run after a target changed.

It is started without a shell, in the live release, in a session (so a process group) of its own, with nothing to read
and an environment of a few names; none of the agent's own variables or descriptors goes to it. What it prints goes to
the agent's log, the last 2 KiB. When its time is up the whole group is asked to end, and then killed; a process that
belongs to another user (`sudo`) can refuse that, and is then left behind and said so.

It has ended when the process that was started has: what that left running is not waited for, and its output is not
read any more. Blocks: for the target's own thread. That thread looks at the clock twenty times a second meanwhile.

Sixteen commands run at once, whatever the number of Syncs: after a start, or a push to what many Syncs share, all of
them would otherwise start in the same moment. The others wait for their turn, and keep nothing up but their own Sync:
what they belong to is live by then.
"""

import os
import pwd
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Final

from agent.core.tail import Tail
from agent.ports.target import CommandError
from bellpull.contract.text import CommitId, SyncName
from bellpull.runtime.logs import logger

__all__ = ["Command"]

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOOK_S: Final = 0.05
_ASKED_S: Final = 5.0
"""How long a group has between SIGTERM and SIGKILL."""
_KILLED_S: Final = 2.0
_STOPPING_S: Final = 8.0
"""How long a command may go on while the agent stops: containers are killed after ten."""
_REPORTED: Final = 768
"""Bytes of output in a report, whose message has 1 KiB in all."""

_AT_ONCE: Final = 16
_TURNS: Final = threading.BoundedSemaphore(_AT_ONCE)
"""The machine is one, so its turns are the process's."""

_log = logger("agent.command")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, for which Sync.

    Attributes:
        argv: the program, looked for in `PATH` or, with a slash in it, relative to the live release; its arguments.
        timeout_s: how long it may take.
        sync: whose target it belongs to.
        report_output: whether what it prints may leave this machine when it fails (R47).
        stopping: whether the agent is about to end.
    """

    argv: tuple[str, ...]
    timeout_s: float
    sync: SyncName
    report_output: bool = False
    stopping: Callable[[], bool] = lambda: False

    def run(self, path: Path, commit: CommitId, go_on: Callable[[], None] = lambda: None) -> None:
        """Run it in the target at `path` when it is its turn, and return when it ended well.

        Args:
            path: the link.
            commit: what is live there.
            go_on: is called while it waits for its turn, and raises where it is to wait no more.

        Raises:
            CommandError: it could not be started, ended otherwise, or its time was up.
        """
        with self._turn(go_on):
            self._run(path, commit)

    @contextmanager
    def _turn(self, go_on: Callable[[], None]) -> Iterator[None]:
        while not _TURNS.acquire(timeout=_LOOK_S):
            if self.stopping():
                raise CommandError(f"CommandStopped: {self._program} had not begun when the agent had to end")
            go_on()
        try:
            yield
        finally:
            _TURNS.release()

    def _run(self, path: Path, commit: CommitId) -> None:
        begun, tail = monotonic(), Tail()
        try:
            process = subprocess.Popen(  # noqa: S603  # whoever writes the Sync says what runs here
                self.argv,
                cwd=path,
                env=_environment(self.sync, path, commit),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CommandError(f"CommandFailed: {self._program} cannot be started: {reason}") from error
        problem = self._watched(process, tail)
        log = _log.warning if problem else _log.info
        seconds = round(monotonic() - begun, 3)
        log("command ended", sync=self.sync, commit=commit, problem=problem, seconds=seconds, output=tail.text())
        if problem:
            output = tail.text(_REPORTED) if self.report_output else ""
            raise CommandError(f"{problem}: {output}" if output else problem)

    def _watched(self, process: "subprocess.Popen[bytes]", tail: Tail) -> str | None:
        """Wait until the process ended, or end it; return what went wrong."""
        out = process.stdout
        if out is None:
            raise ValueError("the process has no output to read")
        os.set_blocking(out.fileno(), False)
        with out:
            if why := self._wait(process, out, tail):
                return why + _end(process, out, tail)
            _read_rest(out, tail)
        code = process.wait()
        if code == 0:
            return None
        how = f"ended with exit code {code}" if code > 0 else f"was ended by {_signal(-code)}"
        return f"CommandFailed: {self._program} {how}"

    def _wait(self, process: "subprocess.Popen[bytes]", out: IO[bytes], tail: Tail) -> str | None:
        """Wait until the process ended; return why it may not go on where it has to be ended."""
        end, stopping = monotonic() + self.timeout_s, False
        while not _listened(process, out, tail, _LOOK_S):
            if self.stopping() and not stopping:
                end, stopping = min(end, monotonic() + _STOPPING_S), True
            if monotonic() >= end:
                if stopping:
                    return f"CommandStopped: {self._program} still ran when the agent had to end; it runs again"
                return f"CommandTimedOut: {self._program} ran for over {self.timeout_s:g} s"
        return None

    @property
    def _program(self) -> str:
        return self.argv[0]


def _environment(sync: SyncName, path: Path, commit: CommitId) -> Mapping[str, str]:
    return {
        "PATH": os.environ.get("PATH", _PATH),
        "HOME": os.environ.get("HOME") or _home(),
        "BELLPULL_SYNC": sync,
        "BELLPULL_COMMIT": commit,
        "BELLPULL_PATH": str(path),
    }


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def _listened(process: "subprocess.Popen[bytes]", out: IO[bytes], tail: Tail, wait_s: float) -> bool:
    """Take in what is printed within `wait_s`, and return whether the process ended. It stays a zombie.

    So its group's number belongs to nobody else while signals are sent there.
    """
    poll = select.poll()
    poll.register(out, select.POLLIN)
    events = poll.poll(wait_s * 1000)
    if events and not events[0][1] & select.POLLIN:
        select.poll().poll(wait_s * 1000)  # its output is closed, and nothing more will come: only wait
    elif events:
        tail.add(out.read(1 << 16) or b"")
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read_rest(out: IO[bytes], tail: Tail) -> None:
    """Take in what a pipe holds; what others still print there is not waited for."""
    for _ in range(16):
        data = out.read(1 << 16)
        if not data:
            return
        tail.add(data)


def _end(process: "subprocess.Popen[bytes]", out: IO[bytes], tail: Tail) -> str:
    """Ask the group to end, then kill it; return how that went, for people."""
    ended = False
    for number, patience_s in ((signal.SIGTERM, _ASKED_S), (signal.SIGKILL, _KILLED_S)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        end = monotonic() + patience_s
        while not (ended := _listened(process, out, tail, _LOOK_S)) and monotonic() < end:
            pass
    _read_rest(out, tail)
    if not ended:
        return ", and this user may not end it"
    process.wait()
    return ", and was ended"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
