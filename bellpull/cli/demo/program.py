"""One of the demo's programs: started, watched by its log, stopped, held and killed from outside."""

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import orjson

__all__ = ["Program", "WorldError", "tail"]

_START_S: Final = 20.0
_STOP_S: Final = 15.0


class WorldError(Exception):
    """The demo cannot go on; the message says what was waited for and where to look."""


@dataclass(slots=True)
class Program:
    """One of the two programs: how to start it, and the process while it runs."""

    name: str
    config: Path
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self, until: str) -> None:
        """Start it and wait until its log has the line `until`."""
        skip = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bellpull", self.name, "--config", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self._logged(until, skip)

    async def stop(self) -> None:
        """End it as a service manager would."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def said(self, event: str, **members: object) -> int:
        """Return how many lines with this event, and these members, its log has."""
        whole = self.log.read_bytes().split(b"\n")[:-1]
        lines = (orjson.loads(line) for line in whole if line.startswith(b"{"))
        wanted = {"event": event, **members}
        return sum(all(line.get(name) == value for name, value in wanted.items()) for line in lines)

    def hold(self) -> None:
        """Stop the process where it is, so that it can hear nothing."""
        self._signal(signal.SIGSTOP)

    def release(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None:
            raise WorldError(f"the {self.name} does not run")
        self.process.send_signal(number)

    async def _logged(self, message: str, skip: int) -> None:
        end = monotonic() + _START_S
        while monotonic() < end:
            text = await asyncio.to_thread(self.log.read_bytes)
            if message.encode() in text[skip:]:
                return
            if self.process is not None and self.process.returncode is not None:
                raise WorldError(f"the {self.name} ended with {self.process.returncode}:\n{tail(self.log)}")
            await asyncio.sleep(0.02)
        raise WorldError(f"the {self.name} did not say {message!r} within {_START_S:.0f} s:\n{tail(self.log)}")


def tail(log: Path, lines: int = 15) -> str:
    """Return the end of a log, with its name. Blocks."""
    text = log.read_text(errors="replace").splitlines() if log.exists() else []
    return f"{log.name}:\n" + "\n".join(text[-lines:])
