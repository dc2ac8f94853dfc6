"""A machine that is gone: it acknowledges nothing any more, and says nothing of it."""

import ctypes
import socket
import struct
from typing import Final

__all__ = ["vanish"]

_SO_ATTACH_FILTER: Final = 26
_DROP_ALL: Final = struct.pack("HBBI", 0x06, 0, 0, 0)
"""The instruction of a BPF filter that returns 0: nothing of a packet is kept."""


def vanish(connection: socket.socket) -> None:
    """Have the kernel drop whatever comes for this TCP connection before it could acknowledge it (Linux)."""
    program = ctypes.create_string_buffer(_DROP_ALL)
    filter_ = struct.pack("HL", 1, ctypes.addressof(program))
    connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
