"""nginx in front of a listener: a process of its own with a configuration, folder and port of the test's own."""

import asyncio
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Final, Self

import pytest

from tests import parts

__all__ = ["GET", "NAME", "PORT", "Nginx", "find", "install", "nginx_program"]

NAME: Final = "nginx"
GET: Final = "apt-get install nginx"
PORT: Final = "@port@"
"""Stands in a configuration for the port that the test was given."""

_START_S: Final = 20.0
_STOP_S: Final = 10.0
_ATTEMPTS: Final = 5
_MAIN: Final = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
worker_rlimit_nofile 16384;
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""


def find() -> Path | None:
    """Return the program."""
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or shutil.which("nginx")
    return Path(found) if found else None


def install() -> None:
    """Get it from Debian; its service is not started."""
    parts.apt_install("nginx")


class Nginx:
    """Runs while its context lasts, on a free port of loopback.

    Args:
        program: what `nginx_program` found.
        folder: where its files go; made if need be.
        http: what stands in the `http` block: `server` blocks that listen at `127.0.0.1:@port@`.
    """

    def __init__(self, program: Path, folder: Path, http: str) -> None:
        self._program = program
        self._folder = folder
        self._http = http
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        """Start it, and return once it accepts connections; another port is tried where one was just taken."""
        for attempt in range(_ATTEMPTS):
            self.port = _free_port()
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
                *(
                    str(self._program),
                    "-p",
                    str(self._folder),
                    "-c",
                    str(self._folder / "nginx.conf"),
                    "-e",
                    "stderr",
                ),
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
        user = "user root;" if os.geteuid() == 0 else ""  # another one may not enter the test's folder
        config = _MAIN.format(user=user, folder=self._folder, http=self._http.replace(PORT, str(self.port)))
        (self._folder / "nginx.conf").write_text(config)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def nginx_program() -> Path:
    """The program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])
