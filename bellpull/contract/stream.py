"""The embedded stream between gateway and agents: server-sent events one way, POST the other.

A message is its seal on the first `data:` line and the exact body on the second, under the cursor of its row; a
tick says how far the journal was examined for this agent; a reset says where to go on when the cursor it sent is
not known. Both sides read and write with the functions here.

Where a proxy keeps back what is streamed, an agent polls instead: `GET /v1/events?after=CURSOR&wait=SECONDS` is
answered with the same frames as soon as there are any, or with 204 after that time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import orjson

from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.message import MAX_BYTES

__all__ = [
    "AFTER",
    "EVENTS_PATH",
    "REPORTS_PATH",
    "RETRY",
    "SEAL_HEADER",
    "SESSION_HEADER",
    "WAIT",
    "Frame",
    "FrameReader",
    "MessageFrame",
    "Receipt",
    "ResetFrame",
    "TickFrame",
    "encode_frame",
]

EVENTS_PATH: Final = "/v1/events"
REPORTS_PATH: Final = "/v1/reports"
SEAL_HEADER: Final = "Bellpull-Seal"
AFTER: Final = "after"
"""The cursor of a poll."""
WAIT: Final = "wait"
"""For how many seconds a poll may be kept without an answer; what makes it a poll."""
SESSION_HEADER: Final = "Bellpull-Session"
"""A word for this start of the gateway and what the agent may hear. Where the next poll is answered with another one,
a stream would have ended."""
RETRY: Final = b"retry: 1000\n\n"
"""What a stream begins with: a reader comes back after a second."""

_MAX_FRAME: Final = MAX_BYTES + 16 * 1024
"""A body of the largest size, its seal, and the names of the fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFrame:
    """A sealed message, exactly as it was sent; neither was looked at yet."""

    cursor: Cursor
    seal: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFrame:
    """The way is open, and there is nothing for this agent up to `cursor`."""

    cursor: Cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetFrame:
    """What came before `cursor` may have been missed: look at everything again."""

    cursor: Cursor


Frame = MessageFrame | TickFrame | ResetFrame


def encode_frame(frame: Frame) -> bytes:
    """Return the frame as a server-sent event.

    Raises:
        ContractError: the body of a message is more than one line, and would become other frames.
    """
    match frame:
        case MessageFrame(cursor=cursor, seal=seal, body=body):
            if b"\n" in body or "\n" in seal:
                raise ContractError("data", "is more than one line")
            return b"id: %b\nevent: message\ndata: %b\ndata: %b\n\n" % (str(cursor).encode(), seal.encode(), body)
        case TickFrame(cursor=cursor):
            return b"id: %b\nevent: tick\ndata:\n\n" % str(cursor).encode()
        case ResetFrame(cursor=cursor):
            return b"id: %b\nevent: reset\ndata:\n\n" % str(cursor).encode()


class FrameReader:
    """Reads frames from bytes, however they are cut. Comments, `retry` and unknown events are skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes.

        Raises:
            ContractError: it is no stream of this contract; the reader is of no use any more.
        """
        self._buffer += chunk
        return list(self._frames())

    def _frames(self) -> Iterator[Frame]:
        while (end := self._buffer.find(b"\n\n", self._searched)) >= 0:
            _bound(end)
            event = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            self._searched = 0
            frame = _read_event(event)
            if frame is not None:
                yield frame
        self._searched = max(0, len(self._buffer) - 1)
        _bound(self._searched)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to a report: it was stored; with `want_full` the gateway asks for the full state."""

    want_full: bool = False

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the answer.

        Raises:
            ContractError: it is none.
        """
        try:
            value = orjson.loads(body)
        except ValueError:
            raise ContractError("", "is not JSON in UTF-8") from None
        if not isinstance(value, dict):
            raise ContractError("", "is not an object")
        return cls(want_full=value.get("want") == "full")

    def encode(self) -> bytes:
        """Return the answer as JSON."""
        return orjson.dumps({"want": "full" if self.want_full else None})


def _bound(size: int) -> None:
    if size > _MAX_FRAME:
        raise ContractError("", f"has an event of more than {_MAX_FRAME} bytes")


def _read_event(event: bytes) -> Frame | None:
    fields: dict[bytes, list[bytes]] = {}
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name, []).append(value.removeprefix(b" "))
    kind = fields.get(b"event", [b""])[-1]
    if kind not in (b"message", b"tick", b"reset"):
        return None
    cursor = _read_cursor(fields)
    match kind:
        case b"message":
            return _read_message(cursor, fields.get(b"data", []))
        case b"tick":
            return TickFrame(cursor=cursor)
        case _:
            return ResetFrame(cursor=cursor)


def _read_cursor(fields: dict[bytes, list[bytes]]) -> Cursor:
    try:
        return Cursor.parse(fields[b"id"][-1].decode("ascii"))
    except (KeyError, UnicodeDecodeError):
        raise ContractError("id", "is missing or not ASCII") from None


def _read_message(cursor: Cursor, data: list[bytes]) -> MessageFrame:
    if len(data) != 2:
        raise ContractError("data", "is not a seal and a body, a line each")
    try:
        return MessageFrame(cursor=cursor, seal=data[0].decode("ascii"), body=data[1])
    except UnicodeDecodeError:
        raise ContractError("data", "has a seal that is not ASCII") from None
