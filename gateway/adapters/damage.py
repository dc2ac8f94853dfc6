"""The notes of damage that a person has not taken note of yet: a file of lines in the gateway's folder (R10).

A note is on disk before anything is moved aside, and stays until `acknowledge`, whatever becomes of the process.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from bellpull.runtime.files import sync_folder, write_atomic

__all__ = ["acknowledge", "note", "notes"]

_NAME: Final = "damaged.txt"


def note(folder: Path, text: str, now: datetime) -> None:
    """Add a line, on disk on return.

    Raises:
        OSError: it could not be written.
    """
    lines = [*notes(folder), f"{now:%Y-%m-%dT%H:%M:%SZ} {' '.join(text.split())}"]
    write_atomic(folder / _NAME, "".join(f"{line}\n" for line in lines).encode())


def notes(folder: Path) -> tuple[str, ...]:
    """Return the lines.

    Raises:
        OSError: they cannot be read.
    """
    try:
        return tuple((folder / _NAME).read_text(encoding="utf-8", errors="replace").splitlines())
    except FileNotFoundError:
        return ()


def acknowledge(folder: Path) -> tuple[str, ...]:
    """Return the lines, and remove them.

    Raises:
        OSError: they could not be removed.
    """
    found = notes(folder)
    if found:
        (folder / _NAME).unlink(missing_ok=True)
        sync_folder(folder)
    return found
