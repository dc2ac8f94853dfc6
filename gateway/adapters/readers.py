"""Reading a database file beside its writer: read-only, on threads of its own, and with no cursor left open."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from gateway.adapters.schema import BUSY_MS, FATAL
from gateway.ports.disk import DiskFailed

__all__ = ["Readers"]

_T = TypeVar("_T")
_THREADS: Final = 4


class Readers:
    """A few threads, each with a connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(_THREADS, f"{path.name}-reader")
        self._local = threading.local()
        self._open: list[apsw.Connection] = []

    async def read(self, job: Callable[[apsw.Connection], _T]) -> _T:
        """Run `job` in one of them.

        Raises:
            DiskFailed: the file cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, job)

    def close(self) -> None:
        """Wait until the last job is done, and let go of the file; blocks."""
        self._threads.shutdown()
        for connection in self._open:
            connection.close()

    def _read(self, job: Callable[[apsw.Connection], _T]) -> _T:
        try:
            if not hasattr(self._local, "connection"):
                self._local.connection = self._connect()
            return job(self._local.connection)
        except FATAL as error:
            raise DiskFailed(self._path, str(error)) from error

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # the log is the writer's, also if that is gone
        connection.set_busy_timeout(BUSY_MS)
        self._open.append(connection)
        return connection
