"""A copy of the journal, of one moment, taken beside a gateway that runs.

The copy is made by SQLite's backup interface within one read transaction, so that it needs not begin again for what
is written meanwhile; the gateway's log only grows until it is done. Whoever starts on the copy does not know what
was missed since, and tells all agents to look at everything: the copy says that nothing is known of its last start.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from bellpull.runtime.files import FolderLock, LockedError, sync_folder
from gateway.adapters.life import forget
from gateway.adapters.schema import BUSY_MS, refuse_other_major
from gateway.adapters.tables import JOURNAL
from gateway.ports.disk import WriteRefused

__all__ = ["back_up"]

_PAGES: Final = 1024
"""Copied at a time: 4 MiB."""


def back_up(journal: Path, target: Path, tell: Callable[[float], None]) -> None:
    """Copy the journal to `target`, which is made, for its owner only, and on disk on return; blocks.

    Args:
        journal: the file; whether a gateway has it or not.
        target: must not be there; its folder must.
        tell: is told what part is done, from 0 to 1, every few MiB.

    Raises:
        OSError: `target` is there (FileExistsError), or cannot be written.
        WriteRefused: the journal cannot be read, or is of another major version.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with _beside_the_gateway(journal):
            _copy(journal, Path(name), tell)
        os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        for left in (target, *target.parent.glob(f"{Path(name).name}*")):
            left.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    sync_folder(target.parent)


@contextmanager
def _beside_the_gateway(journal: Path) -> Iterator[None]:
    """Keep a gateway from starting meanwhile if none runs: what it finds then would not be as it was left."""
    lock = FolderLock(journal.parent)
    with suppress(LockedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _copy(journal: Path, target: Path, tell: Callable[[float], None]) -> None:
    log = journal.with_name(f"{journal.name}-wal")
    name = f"{journal.absolute().as_uri()}?immutable={int(not log.exists())}"
    try:
        with (
            closing(apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as source,
            closing(apsw.Connection(str(target))) as copy,
        ):
            source.set_busy_timeout(BUSY_MS)
            source.execute("BEGIN")
            refuse_other_major(source, journal, JOURNAL)  # reads, and so fixes the moment
            copy.pragma("synchronous", "off")
            with copy.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES)
                    tell(1 - backup.remaining / max(backup.page_count, 1))
            forget(copy)
    except apsw.Error as error:
        raise WriteRefused(f"{journal}: cannot be copied: {error}") from error
