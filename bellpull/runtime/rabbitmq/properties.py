"""Properties that the client library cannot read are none: whoever may publish must not end who listens.

The broker passes on what it does not read itself: text that is no UTF-8, times beyond any calendar, tables a
thousand deep. The library raises at such a frame and gives up the connection, with all that was on its way there.
What we publish has some 3 KiB of properties; of more, which would take the library long, nothing is read either. A
message without properties has no seal, and is refused like any other that has none.
"""

import struct
from typing import Final

from pamqp.commands import Basic
from pamqp.header import ContentHeader

__all__ = ["MOST", "read_with_care"]

MOST: Final = 16 * 1024
"""Bytes of properties that are read: what a broker adds where it dead-letters or federates is within it."""
_FIXED: Final = struct.Struct(">HHQ")
"""Of a content header (AMQP 0-9-1, 2.3.5.2): class, weight, size of the body; properties follow."""
_UNREADABLE: Final = (ValueError, ArithmeticError, OSError, RecursionError, struct.error)
_read_all = ContentHeader.unmarshal


def _read(header: ContentHeader, data: bytes) -> None:
    """Read a content header; its properties stay empty where they cannot be read."""
    if len(data) <= _FIXED.size + MOST:
        try:
            return _read_all(header, data)
        except _UNREADABLE:
            header.properties = Basic.Properties()
    header.class_id, header.weight, header.body_size = _FIXED.unpack_from(data)
    return None


def read_with_care() -> None:
    """Have the client library do so, in all of the process."""
    ContentHeader.unmarshal = _read  # type: ignore[method-assign, assignment]
