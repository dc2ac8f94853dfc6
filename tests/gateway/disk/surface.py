"""What a disk holds of one file when the power goes: what was synced, and of the rest whatever it had got to.

A sector is written whole or not at all, and bytes that nobody wrote do not change (SQLite's "powersafe overwrite").
What was not synced may have reached the disk in any order and any part: each sector has seen some number of the
writes that were on their way to it, none, a few or all. Whether the length of the file changed is decided likewise.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

__all__ = ["SECTORS", "Inode", "Survival"]

SECTORS: Final = (512, 4096)
Survival = Literal["nothing", "some", "all"]
"""What becomes of writes that were not synced; "all" is what a kill leaves."""


@dataclass(slots=True)
class Inode:
    """One file: what was synced, and what was written since.

    Attributes:
        number: tells it from another file of the same name.
        synced: its content on the disk for certain.
        pending: in order, bytes written at an offset, or a length it was cut to.
        syncs_folder: its next sync syncs the folder's entries, too: SQLite does that once for each log and rollback
            journal that it opens and may make.
    """

    number: int
    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    syncs_folder: bool = False

    def sync(self) -> None:
        """Bring to the disk what was written."""
        for at, data in self.pending:
            _apply(self.synced, at, data)
        self.pending.clear()

    def after_cut(self, random: Random, survival: Survival, sector: int) -> bytes:
        """Return what the disk may hold if the power goes now."""
        content = bytearray(self.synced)
        reached: dict[int | None, int] = {}
        for number, (at, data) in enumerate(self.pending):
            for piece_at, piece in _pieces(at, data, sector):
                place = None if piece is None else piece_at // sector
                if place not in reached:
                    reached[place] = _reached(random, survival, len(self.pending))
                if number < reached[place]:
                    _apply(content, piece_at, piece)
        return bytes(content)


def _reached(random: Random, survival: Survival, writes: int) -> int:
    if survival == "some":
        return random.choice((0, random.randint(0, writes), writes))
    return 0 if survival == "nothing" else writes


def _pieces(at: int, data: bytes | None, sector: int) -> list[tuple[int, bytes | None]]:
    """Cut a write at the borders of sectors."""
    if data is None:
        return [(at, None)]
    pieces: list[tuple[int, bytes | None]] = []
    done = 0
    while done < len(data):
        size = min(sector - (at + done) % sector, len(data) - done)
        pieces.append((at + done, data[done : done + size]))
        done += size
    return pieces


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    """Write, or cut to a length where there is no data; a gap is filled with zeros."""
    if data is None:
        del content[at:]
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data
