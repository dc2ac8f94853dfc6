"""File system events of chosen folders, as Linux gives them.

Why not a library: `watchfiles` follows links out of the folder it watches (one link to `/` and the whole file
system is watched), gives up at the first name that is not UTF-8, and wakes 20 times a second for each watch in a
thread of its own. This costs nothing while nothing happens.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

__all__ = ["Event", "Inotify", "Mask"]

_HEAD: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16


class Mask(IntFlag):
    """What can happen, from `linux/inotify.h`."""

    MODIFY = 0x2
    ATTRIB = 0x4
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLY_FOLDER = 0x0100_0000
    NO_LINK = 0x0200_0000

    NAMES = MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
    ANYTHING = NAMES | MODIFY | ATTRIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened in the folder `watch`, to `name` in it or, where that is empty, to itself."""

    watch: int
    mask: Mask
    name: bytes


class Inotify:
    """A queue of events; `fileno` is readable while there are some.

    Raises:
        OSError: the system gives no more of them (`fs.inotify.max_user_instances`).
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._descriptor

    def watch(self, folder: bytes, mask: Mask) -> int:
        """Watch a folder; the same folder always has the same watch.

        Raises:
            OSError: it is not there, or the system gives no more (`fs.inotify.max_user_watches`).
        """
        wanted = mask | Mask.ONLY_FOLDER | Mask.NO_LINK
        return self._checked(self._libc.inotify_add_watch(self._descriptor, folder, ctypes.c_uint32(wanted)))

    def forget(self, watch: int) -> None:
        """Watch a folder no longer; nothing happens where it is gone."""
        self._libc.inotify_rm_watch(self._descriptor, watch)

    def events(self) -> Iterator[Event]:
        """Yield what happened so far; never waits."""
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size + size
            yield Event(watch=watch, mask=Mask(mask), name=data[at - size : at].rstrip(b"\0"))

    def close(self) -> None:
        """Give everything back."""
        os.close(self._descriptor)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
