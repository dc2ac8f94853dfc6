"""The `bellpull` command on a disk whose syncs fail as soon as a file of the name "broken" is in the folder.

Run as `python -m tests.gateway.disk.program FOLDER ARGUMENT...`; the folder is the gateway's `data`.
"""

import sys
from pathlib import Path

from bellpull.cli import main
from tests.gateway.disk.vfs import Disk, Operation

__all__ = ["BROKEN"]

BROKEN = "broken"


class _Breaking(Disk):
    def begin(self, operation: Operation, name: str) -> None:
        if (self.folder / BROKEN).exists():
            self.failing["sync"] = "EIO sync"
        super().begin(operation, name)


if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    folder.mkdir(exist_ok=True)
    with _Breaking(folder):
        main()
