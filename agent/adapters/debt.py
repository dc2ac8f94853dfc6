"""Which trees' command is owed: those that went live, or were about to, since one last ended well.

Kept in the file `owed` among a target's records, beside the releases it is about, so that both are on disk in the
order in which they were written.
"""

import os
from contextlib import suppress
from typing import Final

from agent.adapters.tree import explained, keep_file

__all__ = ["OWED", "Debt"]

OWED: Final = "owed"
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Debt:
    """What one target owes.

    Args:
        records: a descriptor of the folder of records.
        incoming: one of the folder for what is not finished.
    """

    def __init__(self, records: int, incoming: int) -> None:
        self._records = records
        self._incoming = incoming

    def trees(self) -> frozenset[str]:
        """Return the trees whose command is owed once, or while, they are live."""
        with explained(OWED):
            try:
                with os.fdopen(os.open(OWED, _READ, dir_fd=self._records), "rb") as file:
                    return frozenset(file.read().decode("ascii", "replace").split())
            except FileNotFoundError:
                return frozenset()

    def owe(self, tree: str) -> None:
        """Note that the command is owed for `tree`; on disk when this returns.

        Raises:
            TargetError: the file system failed.
        """
        lines = "".join(f"{each}\n" for each in sorted(self.trees() | {tree}))
        with explained(OWED):
            keep_file(self._incoming, self._records, OWED, lines.encode())

    def settle(self) -> None:
        """Note that nothing is owed any more.

        Raises:
            TargetError: the file system failed.
        """
        with explained(OWED), suppress(FileNotFoundError):
            os.unlink(OWED, dir_fd=self._records)
            os.fsync(self._records)
