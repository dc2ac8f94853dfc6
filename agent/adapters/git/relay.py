"""One connection of libgit2 to a server, passed on through sockets of this program's own. Blocks; has a thread.

libgit2 dials a port of loopback that exists for this one conversation, and gets the server behind it. That gives what
it does not offer by itself: a stop that ends it at once wherever it is; a name for the server that no other
conversation has (see `trust`); and which host key was shown, for the error. It costs a copy of each byte.

The bytes are SSH: whoever else on this machine dialled the port first would talk to the server without a key, and
this conversation would fail and be tried again. Accepted. Nothing beyond loopback can reach it.
"""

import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Final, Self

from agent.adapters.git.limit import Limit, StoppedError
from agent.core.overheard import Overheard

__all__ = ["Relay"]

_CHUNK: Final = 256 * 1024
_TICK_S: Final = 0.1
_DIAL_S: Final = 10.0


class Relay:
    """Passes bytes on while its context lasts, until `limit`.

    Args:
        host: of the server.
        port: of the server.
        limit: when it hangs up, whatever libgit2 does.
    """

    def __init__(self, host: str, port: int, limit: Limit) -> None:
        self._host = host
        self._port = port
        self._limit = limit
        self._over = threading.Event()
        self.heard = Overheard()
        """What the server said of itself."""

    def __enter__(self) -> Self:
        """Dial the server, and listen.

        Raises:
            OSError: it cannot be reached.
        """
        self._far = socket.create_connection((self._host, self._port), min(_DIAL_S, self._limit.left))
        try:
            self._door = socket.create_server(("127.0.0.1", 0), backlog=1)
        except OSError:
            self._far.close()
            raise
        self._thread = threading.Thread(target=self._pass_on, name="git-relay", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._over.set()
        self._thread.join()
        self._door.close()  # not before: until then no other can have the port

    @property
    def port(self) -> int:
        """Where libgit2 has to dial, on 127.0.0.1."""
        return int(self._door.getsockname()[1])

    def _pass_on(self) -> None:
        with closing(self._far) as far, suppress(OSError, StoppedError):
            near = self._answer()
            with closing(near):
                for each in (near, far):
                    each.setblocking(False)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._copy(near, far)

    def _answer(self) -> socket.socket:
        self._door.settimeout(_TICK_S)
        while True:
            self._check()
            with suppress(TimeoutError):
                return self._door.accept()[0]

    def _copy(self, near: socket.socket, far: socket.socket) -> None:
        """Copy both ways until one side hangs up. Of each way one chunk is held, until the other side takes it."""
        other, held = {near: far, far: near}, {near: b"", far: b""}
        while True:
            self._check()
            for side, events in _ready(other, held):
                if events & select.POLLOUT:
                    held[side] = held[side][side.send(held[side]) :]
                if events & ~select.POLLOUT and not held[other[side]]:
                    data = side.recv(_CHUNK)
                    if not data:
                        return
                    if side is far:
                        self.heard.feed(data)
                    held[other[side]] = data

    def _check(self) -> None:
        if self._over.is_set():
            raise StoppedError
        self._limit.check()


def _ready(
    other: Mapping[socket.socket, socket.socket], held: Mapping[socket.socket, bytes]
) -> Iterator[tuple[socket.socket, int]]:
    """Wait a little; give each side that can be written to, or read from, and has something to do with that."""
    poll, sides = select.poll(), {}
    for side in other:
        wanted = (select.POLLOUT if held[side] else 0) | (0 if held[other[side]] else select.POLLIN)
        if wanted:
            poll.register(side, wanted)
            sides[side.fileno()] = side
    for number, events in poll.poll(_TICK_S * 1000):
        yield sides[number], events
