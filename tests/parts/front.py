"""A proxy in front of listeners: a process of its own with a configuration, folder and port of the test's own."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

__all__ = ["PORT", "Front", "free_port"]

PORT: Final = "@port@"
"""Stands in a configuration for the port that the test was given."""
_START_S: Final = 20.0
_STOP_S: Final = 10.0
_ATTEMPTS: Final = 5
_NOTHING: Final[Mapping[str, str]] = {}


class Front:
    """Runs while its context lasts, on a free port of loopback.

    Args:
        command: how it is started.
        folder: where its files go; made if need be.
        name: of its configuration's file in the folder.
        config: what that says, with `PORT` in it.
        environment: what it has besides ours.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        name: str,
        config: str,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._command = command
        self._folder = folder
        self._name = name
        self._config = config
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        """Start it, and return once it accepts connections; another port is tried where one was just taken."""
        for attempt in range(_ATTEMPTS):
            self.port = free_port()
            if await self._start():
                return self
            assert attempt + 1 < _ATTEMPTS, self.said()
        raise AssertionError("unreachable: the last attempt asserts")

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def address(self) -> str:
        """`HOST:PORT` where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where it listens, if that is plain HTTP."""
        return f"http://{self.address}"

    def said(self) -> str:
        """Return its log of warnings and errors. Blocks."""
        return (self._folder / "log").read_text()

    async def _start(self) -> bool:
        await asyncio.to_thread(self._prepare)
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=os.environ | dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_START_S):
            while self._process.returncode is None:
                if await _accepts(self.port):
                    return True
                await asyncio.sleep(0.02)
        return False

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        (self._folder / self._name).write_text(self._config.replace(PORT, str(self.port)))


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    """Return a port of loopback that nobody had just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
