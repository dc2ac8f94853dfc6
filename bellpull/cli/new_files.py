"""Files that a verb makes: all of them, or none, and never in place of others."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellpull.cli.failure import FailureError

__all__ = ["OPEN", "PRIVATE", "NewFile", "make"]

OPEN: Final = 0o644
PRIVATE: Final = 0o600
_FOLDER: Final = 0o700


@dataclass(frozen=True, slots=True)
class NewFile:
    """What a file is to hold, and who may read it."""

    data: bytes
    mode: int = PRIVATE


def make(folder: Path, files: Mapping[str, NewFile]) -> None:
    """Make `files` (by their path below `folder`) and the folders they are in, for their owner only.

    Raises:
        FailureError: some are there already; nothing was written.
        OSError: one could not be written.
    """
    there = [folder / name for name in files if os.path.lexists(folder / name)]
    if there:
        raise FailureError(
            *(f"{path}: is there already" for path in there),
            "nothing was written: move them away, or choose a folder",
        )
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, file.mode)
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, file.mode)
            opened.write(file.data)
