"""Whether a SQLite log lost commits that were on disk.

SQLite reads a log up to the first frame whose checksum is wrong, and takes the rest for what a power cut left of
the last commit. Where every commit is synced before the next one begins, a power cut leaves at most one commit
beyond that place; two or more mean that the log was damaged, and that what had been promised is not in it any more.

Accepted: damage to the very last commit cannot be told from a power cut during it.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["FRAME_HEAD", "LOG_HEAD", "is_damaged"]

LOG_HEAD: Final = 32
"""Bytes at the beginning of a log (https://www.sqlite.org/fileformat2.html#the_write_ahead_log)."""
FRAME_HEAD: Final = 24
"""Bytes before each page in it."""
_MAGIC: Final = {0x377F0682: "<6I", 0x377F0683: ">6I"}
"""The byte order of the checksums that each magic number stands for; all else is big-endian."""
_WORD: Final = 0xFFFFFFFF


class _Frame(NamedTuple):
    page: int
    size: int
    """Pages of the database after this commit; 0 in a frame that ends no commit."""
    salts: tuple[int, int]


def is_damaged(head: bytes, beyond: Iterable[bytes]) -> bool:
    """Whether a log lost commits.

    Args:
        head: the first `LOG_HEAD` bytes of the log; fewer if it is shorter.
        beyond: the first `FRAME_HEAD` bytes of each frame beyond those that SQLite reads.
    """
    frames = [_frame(each) for each in beyond if len(each) == FRAME_HEAD]
    salts = _salts(head) or next((frame.salts for frame in frames if frame.size), None)
    return sum(frame.salts == salts and frame.size > 0 for frame in frames) > 1


def _salts(head: bytes) -> tuple[int, int] | None:
    """Return the two numbers that every frame of this log repeats; none if the head is not whole."""
    if len(head) < LOG_HEAD:
        return None
    magic, _, _, _, *salts, one, two = struct.unpack(">8I", head)
    if magic not in _MAGIC or (one, two) != _checksum(struct.unpack(_MAGIC[magic], head[:24])):
        return None
    return salts[0], salts[1]


def _checksum(words: tuple[int, ...]) -> tuple[int, int]:
    one = two = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _WORD
        two = (two + odd + one) & _WORD
    return one, two


def _frame(head: bytes) -> _Frame:
    page, size, first, second, _, _ = struct.unpack(">6I", head)
    return _Frame(page, size, (first, second))
