"""What a program left behind: found by a mark in the environment that its children inherit."""

import contextlib
import os
from pathlib import Path

__all__ = ["processes"]


def processes(mark: str) -> list[str]:
    """Return the command lines of the processes that have `mark` in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and os.fsencode(mark) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
