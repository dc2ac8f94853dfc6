"""CloudEvents 1.0 in structured JSON: the envelope round everything that travels.

`decode` takes any bytes and returns a `Message`, or `Unknown` for a type of a later version, or raises
`ContractError`; nothing else. A type of a higher major version is refused: its reader is not here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from bellpull.contract.codec import plain, read, schema, write
from bellpull.contract.errors import ContractError
from bellpull.contract.event import Canary, ChangeUpdated, Event, RefUpdated, Resync, StateRequested, Tick
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.text import MessageId, Source, Subject, TraceParent

__all__ = [
    "MAX_BYTES",
    "MEDIA_TYPE",
    "TYPES",
    "Data",
    "Message",
    "Unknown",
    "decode",
    "encode",
    "message_schema",
]

MEDIA_TYPE: Final = "application/cloudevents+json"
MAX_BYTES: Final = 4 * 1024 * 1024
"""No message is larger: a full heartbeat of 10,000 Syncs is half of it."""

Data = Event | Report | Heartbeat
"""Everything that travels, either way."""

_PREFIX: Final = "dev.bellpull."
TYPES: Final[Mapping[str, type[Data]]] = {
    "dev.bellpull.ref.updated.v1": RefUpdated,
    "dev.bellpull.change.updated.v1": ChangeUpdated,
    "dev.bellpull.canary.v1": Canary,
    "dev.bellpull.resync.v1": Resync,
    "dev.bellpull.tick.v1": Tick,
    "dev.bellpull.state.requested.v1": StateRequested,
    "dev.bellpull.report.v1": Report,
    "dev.bellpull.heartbeat.v1": Heartbeat,
}
"""The words between prefix and version are those of CDEvents where it has them."""
_NAMES: Final = {cls: name for name, cls in TYPES.items()}
_VERSIONED: Final = re.compile(r"(?P<stem>dev\.bellpull\.[a-z.]+)\.v(?P<major>[1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: who says it (`source`, a URI reference), when, and what."""

    id: MessageId
    source: str
    time: datetime
    data: Data
    traceparent: TraceParent | None = None

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return _NAMES[type(self.data)]

    @property
    def subject(self) -> str | None:
        """What it is about, for people and for filters."""
        match self.data:
            case RefUpdated(repository=repository, ref=ref):
                return f"{repository.host}/{repository.path}@{ref.full}"
            case ChangeUpdated(repository=repository, number=number):
                return f"{repository.host}/{repository.path}#{number}"
            case Report(agent=agent, sync=sync):
                return f"{agent}/{sync}"
            case Heartbeat(agent=agent) | Tick(agent=agent) | StateRequested(agent=agent):
                return agent
            case _:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A well-formed message of a type this version does not know; it is skipped."""

    id: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    specversion: str
    type: str
    id: MessageId
    source: Source
    time: datetime
    datacontenttype: str = "application/json"
    subject: Subject | None = None
    traceparent: TraceParent | None = None


def encode(message: Message) -> bytes:
    """Return the message as one line of JSON in UTF-8."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "type": message.type,
        "id": message.id,
        "source": message.source,
        "time": message.time,
        "datacontenttype": "application/json",
    }
    if (subject := message.subject) is not None:
        attributes["subject"] = subject
    if message.traceparent is not None:
        attributes["traceparent"] = message.traceparent
    attributes["data"] = plain(message.data)
    return write(attributes)


def decode(body: bytes) -> Message | Unknown:
    """Read a message.

    Raises:
        ContractError: it is none; the message has the path and what is wrong there.
    """
    if len(body) > MAX_BYTES:
        raise ContractError("", f"is larger than {MAX_BYTES} bytes")
    try:
        value = orjson.loads(body)
    except ValueError:
        raise ContractError("", "is not JSON in UTF-8") from None
    envelope = read(_Envelope, value)
    if envelope.specversion != "1.0":
        raise ContractError("specversion", "is not 1.0")
    cls = TYPES.get(envelope.type)
    if cls is None:
        _refuse_higher_major(envelope.type)
        return Unknown(id=envelope.id, type=envelope.type)
    return Message(
        id=envelope.id,
        source=envelope.source,
        time=envelope.time,
        traceparent=envelope.traceparent,
        data=read(cls, value.get("data"), "data"),
    )


def message_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the messages of type `name`, a key of `TYPES`."""
    envelope = schema(_Envelope)
    envelope["properties"]["specversion"] = {"const": "1.0"}
    envelope["properties"]["type"] = {"const": name}
    envelope["properties"]["data"] = schema(TYPES[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        **envelope,
        "description": (TYPES[name].__doc__ or "").split("\n\n", 1)[0],
        "required": [*envelope["required"], "data"],
    }


def _refuse_higher_major(name: str) -> None:
    match = _VERSIONED.fullmatch(name)
    if match is not None and f"{match['stem']}.v1" in TYPES:
        raise ContractError(
            "type", f"is version {match['major']}, and this program speaks version 1: update bellpull here"
        )
