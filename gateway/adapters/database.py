"""A SQLite file with one writing thread that commits in groups, and a few that read.

All writes that wait share one transaction and one fsync. They are handed to the thread a few at a time, and their
callers are resolved together, by one call into the loop: the two share an interpreter, and each time it changes hands
costs more than a write. The writing thread owns the only connection that writes and checkpoints: it
checkpoints between groups, and empties the log when nothing waits. Readers are read-only, on threads of their own,
and keep no cursor.

An I/O error or a damaged file ends all writing for good (R3): who waits is refused, and `watch` raises. A full or
read-only disk refuses this group only.

Accepted: a caller that gave up waiting may find its write on disk all the same.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, Literal, NoReturn, Self, TypeVar

import apsw

from gateway.adapters.meter import Meter
from gateway.adapters.readers import Readers
from gateway.adapters.reading import LeftOut
from gateway.adapters.schema import FATAL, Schema, open_writing
from gateway.adapters.upkeep import Kept, Upkeep
from gateway.adapters.waiting import Waiting, Write
from gateway.ports.disk import DiskFailed, WriteRefused

__all__ = ["Database"]

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_GROUP: Final = 512
"""As soon as there are so many writes, no more are waited for in one transaction."""


class Database:
    """One file. Make it with `Database.open`."""

    def __init__(
        self, path: Path, upkeep: Upkeep, meter: Meter | None, committed: Callable[[Sequence[Any]], None] | None
    ) -> None:
        self.path = path
        self.upkeep = upkeep
        self.transactions = 0
        """Groups committed since it was opened."""
        self.left_out = LeftOut(path, meter)
        self._meter = meter
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[NoReturn] = self._loop.create_future()
        self._queue: SimpleQueue[list[tuple[Write, Any]] | None] = SimpleQueue()
        self._waiting = Waiting(path, self._queue.put, meter)
        self._thread = threading.Thread(target=self._write_groups, name=f"{path.name}-writer", daemon=True)
        self._readers = Readers(path)
        self._writing: apsw.Connection
        self._broken: str | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        synchronous: Literal["FULL", "NORMAL"],
        schema: Schema,
        committed: Callable[[Sequence[Any]], None] | None = None,
        kept: Kept | None = None,
        meter: Meter | None = None,
    ) -> Self:
        """Open or make the file.

        Args:
            path: in a folder that is there.
            synchronous: FULL syncs every commit, NORMAL only checkpoints.
            schema: what is in it.
            committed: called on the loop with what a group's jobs returned, before their callers go on.
            kept: what it may hold, and what goes when it is too much.
            meter: takes its figures.

        Raises:
            WriteRefused: it cannot be opened, or a newer program wrote it.
            DiskFailed: it is damaged or cannot be read.
        """
        self = cls(path, Upkeep(path, kept=kept, meter=meter), meter, committed)
        try:
            self._writing = await asyncio.to_thread(self._open_writing, synchronous, schema)
        except BaseException:
            self._readers.close()
            raise
        self._thread.start()
        return self

    def _open_writing(self, synchronous: Literal["FULL", "NORMAL"], schema: Schema) -> apsw.Connection:
        self.upkeep.give_way()
        connection = open_writing(self.path, synchronous, schema)
        self.upkeep.attach(connection)
        return connection

    async def write(self, job: Callable[[apsw.Connection], _T], *, within_s: float) -> _T:
        """Run `job` inside the next group's transaction; on return it is committed.

        Raises:
            WriteRefused: it was not committed, or not within `within_s` seconds.
        """
        return await self.write_one_of(lambda connection, _: (job(connection),), lambda: None, within_s=within_s)

    def write_one_of(
        self,
        job: Callable[[apsw.Connection, Sequence[_Item]], Sequence[_T]],
        make: Callable[[], _Item],
        *,
        within_s: float,
    ) -> "asyncio.Future[_T]":
        """Run `job` inside the next group's transaction, once for all items that wait for it one after the other.

        `make` makes the item, on the loop, when those of a turn are handed over.

        Returns:
            what will have what `job` returns at the place of the item; then it is committed.

        Raises:
            WriteRefused: it was not committed, or not within about `within_s` seconds.
        """
        if self._broken is not None:
            raise WriteRefused(f"{self.path}: {self._broken}")
        return self._waiting.add(job, make, within_s)

    async def read(self, job: Callable[[apsw.Connection], _T]) -> _T:
        """Run `job` on a read-only connection in a thread; it must leave no cursor open.

        Raises:
            DiskFailed: the file cannot be read; `watch` raises too.
        """
        try:
            return await self._readers.read(job)
        except DiskFailed as error:
            self._break(error.problem)
            raise

    async def watch(self) -> NoReturn:
        """Wait for the day the disk fails.

        Raises:
            DiskFailed: it did.
        """
        await asyncio.shield(self._failed)
        raise AssertionError("unreachable: it only ever fails")

    @property
    def failure(self) -> DiskFailed | None:
        """How the disk failed, if it did."""
        return None if self._broken is None else DiskFailed(self.path, self._broken)

    async def close(self) -> None:
        """Commit what waits, then let go of the file."""
        self._waiting.hand_over()
        await asyncio.to_thread(self._close)
        if self._failed.done():
            self._failed.exception()
        else:
            self._failed.cancel()

    def _close(self) -> None:
        """Close the readers first: the last to go empties the log and removes it, and only the writer can."""
        self._readers.close()
        self._queue.put(None)
        self._thread.join()

    # -- the writing thread --

    def _write_groups(self) -> None:
        """Run until `None` is taken or the disk fails; whatever else ends it counts as that."""
        problem: str | None = "the writing thread ended"
        try:
            self._serve()
            problem = None
        except FATAL as error:
            problem = str(error)
        finally:
            if problem is not None:
                self._loop.call_soon_threadsafe(self._break, problem)
            self._let_go(in_order=problem is None and self._broken is None)

    def _let_go(self, *, in_order: bool) -> None:
        """Close the writing connection; a failed disk is not written to once more, not even by a checkpoint.

        If the checkpoint of an orderly close fails, all is still in the log, and looked at by the next start.
        """
        with suppress(apsw.Error):
            if not in_order:
                self._writing.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._writing.close()

    def _serve(self) -> None:
        while True:
            group, ended = self._take()
            if group:
                begun = monotonic()
                self._commit(group)
                if self._meter is not None:
                    self._meter.commit(monotonic() - begun)
            if ended:
                return
            self.upkeep.do(self._writing, idle=not group)

    def _take(self) -> tuple[list[tuple[Write, Any]], bool]:
        """Wait for the next writes; an empty group means that nothing came for as long as the upkeep can wait."""
        group: list[tuple[Write, Any]] = []
        try:
            turn = self._queue.get(timeout=self.upkeep.patience_s())
            while turn is not None:
                group += turn
                if len(group) >= _GROUP:
                    return group, False
                turn = self._queue.get_nowait()
        except Empty:
            return group, False
        return group, True

    def _commit(self, group: Sequence[tuple[Write, Any]]) -> None:
        connection = self._writing
        writes = [write for write, _ in group]
        try:
            connection.execute("BEGIN IMMEDIATE")
            results: list[Any] = []
            for job, run in groupby(group, key=lambda each: each[0].job):
                results += job(connection, [item for _, item in run])
            connection.execute("COMMIT")
        except FATAL as error:
            self._loop.call_soon_threadsafe(self._waiting.refuse, writes, str(error))
            raise
        except apsw.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.upkeep.note(error)
            self._loop.call_soon_threadsafe(self._waiting.refuse, writes, str(error))
        else:
            self.transactions += 1
            self.upkeep.note(None)
            self._loop.call_soon_threadsafe(self._resolve, writes, results)

    # -- on the loop --

    def _resolve(self, writes: Sequence[Write], results: Sequence[Any]) -> None:
        if self._committed is not None:
            self._committed(results)
        for write, result in zip(writes, results, strict=True):
            if not write.answer.done():
                write.answer.set_result(result)

    def _break(self, problem: str) -> None:
        self._broken = problem
        if not self._failed.done():
            self._failed.set_exception(DiskFailed(self.path, problem))
        self._waiting.hand_over()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._waiting.refuse_all(problem)
