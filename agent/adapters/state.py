"""What the agent keeps over a restart: a folder of small files, each replaced as a whole.

`cursor` is where it stands in the stream, `epoch` counts its starts (R18), `repositories` is what its enrolment
record named last (R15), `key` is for hashes of what is applied to clusters,
`syncs/NAMESPACE~NAME.json` is what became of each Sync. Everything here may be lost: the agent then reconciles
everything once.
"""

import asyncio
import contextlib
import secrets
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from agent.core.outcome import SyncRecord
from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.text import SyncName
from bellpull.runtime.files import write_atomic
from bellpull.runtime.logs import logger

__all__ = ["StateFolder"]

_log = logger(__name__)
_KEY_BYTES: Final = 32


class StateFolder:
    """The agent's state below `folder`; one agent at a time holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._syncs = folder / "syncs"
        self._syncs.mkdir(parents=True, exist_ok=True)

    def next_epoch(self, now: datetime) -> int:
        """Return a number larger than at any start before, recorded before it is returned. Blocks.

        It is the time in seconds, unless the clock was set back: so it rises even where this folder was lost.
        """
        path = self._folder / "epoch"
        epoch = int(now.timestamp())
        with contextlib.suppress(FileNotFoundError, ValueError):
            epoch = max(epoch, int(path.read_text()) + 1)
        write_atomic(path, f"{epoch}\n".encode())
        return epoch

    def key(self) -> bytes:
        """Return a secret of this agent, which is the same at each start. Blocks."""
        path = self._folder / "key"
        with contextlib.suppress(FileNotFoundError):
            if len(key := path.read_bytes()) == _KEY_BYTES:
                return key
        key = secrets.token_bytes(_KEY_BYTES)
        write_atomic(path, key)
        return key

    def cursor(self) -> Cursor | None:
        """Return where the agent stood in the stream, if that is known. Blocks."""
        try:
            return Cursor.parse((self._folder / "cursor").read_text().strip())
        except (FileNotFoundError, ContractError):
            return None

    async def save_cursor(self, cursor: Cursor) -> None:
        """Record where the agent stands."""
        await asyncio.to_thread(write_atomic, self._folder / "cursor", f"{cursor}\n".encode())

    def repositories(self) -> tuple[str, ...] | None:
        """Return the patterns that the agent's enrolment record named last, if that is known. Blocks."""
        try:
            return tuple((self._folder / "repositories").read_text(encoding="utf-8").splitlines())
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    async def save_repositories(self, patterns: tuple[str, ...]) -> None:
        """Keep what the enrolment record names now; no pattern has a line's end in it."""
        data = "".join(f"{pattern}\n" for pattern in patterns).encode()
        await asyncio.to_thread(write_atomic, self._folder / "repositories", data)

    def record(self, sync: SyncName) -> SyncRecord:
        """Return what is known of a Sync; an unreadable record is as good as none. Blocks."""
        path = self._path(sync)
        try:
            return SyncRecord.from_json(orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            return SyncRecord()
        except (ValueError, ContractError) as error:
            _log.warning("the record of a Sync cannot be read and is begun anew", file=str(path), error=str(error))
            return SyncRecord()

    async def save_record(self, sync: SyncName, record: SyncRecord) -> None:
        """Keep what is now known of a Sync."""
        await asyncio.to_thread(write_atomic, self._path(sync), record.to_json())

    def _path(self, sync: SyncName) -> Path:
        return self._syncs / f"{sync.replace('/', '~')}.json"
