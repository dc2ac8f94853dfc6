"""The log of a database, and what a power cut can have done to it."""

import struct

import pytest

from gateway.core.wal import is_damaged

PAGE = 4096
OURS, OLD = (7, 70), (6, 99)


def head(salts: tuple[int, int] = OURS, *, magic: int = 0x377F0682) -> bytes:
    words = struct.pack(">6I", magic, 3007000, PAGE, 1, *salts)
    one = two = 0
    numbers = struct.unpack("<6I" if magic == 0x377F0682 else ">6I", words)
    for even, odd in zip(numbers[::2], numbers[1::2], strict=True):
        one = (one + even + two) % 2**32
        two = (two + odd + one) % 2**32
    return words + struct.pack(">2I", one, two)


def frame(*, commit: bool = True, salts: tuple[int, int] = OURS) -> bytes:
    return struct.pack(">6I", 3, 12 if commit else 0, *salts, 1, 2)


PART, COMMIT, STALE = frame(commit=False), frame(), frame(salts=OLD)
ZEROS = bytes(24)

CASES = {
    "nothing beyond": (head(), [], False),
    "the other byte order": (head(magic=0x377F0683), [COMMIT, COMMIT], True),
    "part of the last commit": (head(), [PART, PART], False),
    "the last commit, cut off by the power": (head(), [ZEROS, PART, COMMIT], False),
    "one commit more": (head(), [PART, COMMIT, PART, COMMIT], True),
    "the damaged frame's own head is gone": (head(), [ZEROS, COMMIT, COMMIT], True),
    "frames of before the log began anew": (head(), [STALE] * 5, False),
    "those, behind a cut commit": (head(), [COMMIT, STALE, STALE], False),
    "the head is gone": (bytes(32), [COMMIT, COMMIT, STALE], True),
    "the head is gone, and nothing else is there": (bytes(32), [ZEROS] * 5, False),
    "a wrong bit in the head": (head()[:20] + b"\xff" + head()[21:], [COMMIT, COMMIT], True),
    "a log that only begins": (head()[:9], [], False),
    "half a frame": (head(), [COMMIT[:9]], False),
}


@pytest.mark.parametrize(("first", "beyond", "damaged"), CASES.values(), ids=CASES.keys())
def test_a_log_is_damaged_when_more_than_its_last_commit_is_gone(
    first: bytes, beyond: list[bytes], *, damaged: bool
) -> None:
    """P1: each commit was synced before the next began, so a power cut costs one that nobody was promised."""
    assert is_damaged(first, beyond) is damaged
