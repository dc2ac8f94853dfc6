"""The last part of what a program prints, as text: bounded however much it prints."""

from typing import Final

__all__ = ["KEPT", "Tail"]

KEPT: Final = 2048
"""Bytes."""


class Tail:
    """Keeps the last `KEPT` bytes of what is added."""

    def __init__(self) -> None:
        self._data = b""
        self._cut = False

    def add(self, data: bytes) -> None:
        """Add what was printed next."""
        both = self._data + data
        self._cut = self._cut or len(both) > KEPT
        self._data = both[-KEPT:]

    def text(self, most: int = KEPT) -> str:
        """Return it as at most `most` bytes of UTF-8 without control characters other than line ends.

        What was cut at its start is marked by three dots.
        """
        text = self._data.decode("utf-8", "replace")
        clean = "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
        data = clean.strip().encode()
        if not self._cut and len(data) <= most:
            return data.decode()
        mark = "..."
        return mark + data[-(most - len(mark)) :].decode("utf-8", "ignore")
