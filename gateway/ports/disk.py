"""What a disk that fails or refuses raises, for the journal and the state alike (R3)."""

from pathlib import Path

__all__ = ["DiskFailed", "WriteRefused"]


class DiskFailed(Exception):  # noqa: N818 - it says what happened
    """An I/O error or a damaged file: what was said to be on disk may not be, so the process must end.

    A failed fsync is never tried again in the same process: the next one succeeds, and the pages may be gone.

    Attributes:
        path: the database's file.
        problem: what SQLite said.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}: the program ends, and checks the file when it is started again")
        self.path = path
        self.problem = problem


class WriteRefused(Exception):  # noqa: N818 - it says what happened
    """A write that was not made, or not in time; the message says why."""
