"""AMQP 0-9-1 by hand, for what no library sends: a message whose properties are bytes of the test's own."""

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from types import MappingProxyType
from typing import Final

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.exceptions import UnmarshalingException

__all__ = ["UNREADABLE", "Raw", "content_header", "raw", "table"]

_HEADERS, _MESSAGE_ID, _TIMESTAMP, _TYPE, _APP_ID = (1 << bit for bit in (13, 7, 6, 5, 3))
_CHANNEL: Final = 1
_TIMEOUT_S: Final = 20.0


def content_header(size: int, flags: int, properties: bytes) -> bytes:
    """Return the frame that announces a body."""
    return _frame(2, struct.pack(">HHQH", 60, 0, size, flags) + properties)


def table(entries: bytes) -> bytes:
    """Return entries as the table that they make."""
    return struct.pack(">I", len(entries)) + entries


def _short(text: bytes) -> bytes:
    return struct.pack(">B", len(text)) + text


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, _CHANNEL, len(payload)) + payload + b"\xce"


_NO_TEXT: Final = _short(b"\xff\xfe")
UNREADABLE: Final[Mapping[str, tuple[int, bytes]]] = MappingProxyType(
    {
        "a type that is no text": (_TYPE, _NO_TEXT),
        "a message id that is no text": (_MESSAGE_ID, _NO_TEXT),
        "an app id that is no text": (_APP_ID, _NO_TEXT),
        "a header's name that is no text": (_HEADERS, table(_NO_TEXT + b"t\x01")),
        "a time beyond all": (_TIMESTAMP, struct.pack(">Q", 2**64 - 1)),
        "a time beyond the calendar": (_TIMESTAMP, struct.pack(">Q", 2**62)),
        "a header's time beyond the calendar": (_HEADERS, table(_short(b"a") + b"T" + struct.pack(">Q", 2**62))),
        "1,000 tables in each other": (
            _HEADERS,
            reduce(lambda t, _: table(_short(b"a") + b"F" + t), range(1000), table(b"")),
        ),
        "2,000 arrays in each other": (
            _HEADERS,
            table(_short(b"a") + reduce(lambda a, _: b"A" + table(a), range(2000), b"V")),
        ),
    }
)
"""Flags and properties that a broker passes on and the client library does not read."""


class Raw:
    """A channel of one's own; use it in `raw`."""

    def __init__(self, plain: socket.socket) -> None:
        self._socket = plain
        self._read = b""
        self._most = 0

    def open(self, vhost: str, user: str, password: str) -> None:
        """Log in, and open the channel."""
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._hear()
        self._say(0, commands.Connection.StartOk({}, "PLAIN", f"\0{user}\0{password}", "en_US"))
        tune = self._hear()
        assert isinstance(tune, commands.Connection.Tune)
        self._most = tune.frame_max
        self._say(0, commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self._say(0, commands.Connection.Open(vhost))
        assert isinstance(self._hear(), commands.Connection.OpenOk)
        self._say(_CHANNEL, commands.Channel.Open())
        assert isinstance(self._hear(), commands.Channel.OpenOk)
        self._say(_CHANNEL, commands.Confirm.Select())
        assert isinstance(self._hear(), commands.Confirm.SelectOk)

    def publish(self, exchange: str, key: str, body: bytes, flags: int, properties: bytes) -> None:
        """Publish a message, and see that the broker took it."""
        to = frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=key), _CHANNEL)
        self._socket.sendall(to + content_header(len(body), flags, properties) + _frame(3, body))
        assert isinstance(self._hear(), commands.Basic.Ack)

    def _say(self, channel: int, method: Frame) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _hear(self) -> object:
        while True:
            try:
                taken, _, heard = frame.unmarshal(self._read)
            except UnmarshalingException:
                more = self._socket.recv(65536)
                assert more, "the broker hung up"
                self._read += more
            else:
                self._read = self._read[taken:]
                return heard


@contextmanager
def raw(port: int, vhost: str, user: str, password: str) -> Iterator[Raw]:
    """Yield a channel at the broker of a port of loopback. Blocks."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as plain:
        channel = Raw(plain)
        channel.open(vhost, user, password)
        yield channel
