"""Events as the broker takes them: under their keys, sealed now (R27), with copies of their attributes for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import orjson

from bellpull.contract.event import Resync, StateRequested, Tick
from bellpull.contract.ids import event_id
from bellpull.contract.message import Message, encode
from bellpull.contract.routing import EVENTS, OUTCOMES, agent_key
from bellpull.contract.seal import SealType, Signer, seal
from bellpull.contract.text import Name, Note
from bellpull.runtime.clock import utc_now
from bellpull.runtime.rabbitmq.publish import Parcel
from gateway.core.address import PROBE
from gateway.ports.journal import Row

__all__ = ["Parcels"]

_ATTRIBUTES: Final = ("specversion", "type", "source", "id", "time", "subject")
_GATEWAY: Final = Name("gateway")
_TICK_KEPT: Final = timedelta(minutes=1)
"""A tick says that a way is open now; one that nobody took soon is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcels:
    """Makes them: for the installation, with its sealing key as of now."""

    installation: Name
    signer: Callable[[], Signer]

    def event(self, row: Row, key: str, attempt: str, also: Sequence[str] = ()) -> Parcel:
        """Return what is sent of a row, under `key` and `also`; `attempt` is of no other that is in flight (R6)."""
        return replace(self._parcel(row.body, key=key, message_id=f"{row.event_id}.{attempt}"), also=tuple(also))

    def outcome(self, body: bytes, key: str, attempt: str) -> Parcel:
        """Return what observers are sent of an agent's report that was kept: its bytes, under the gateway's seal."""
        envelope: Mapping[str, Any] = orjson.loads(body)
        parcel = self._parcel(body, key=key, message_id=f"{envelope['id']}.{attempt}", seal_type=SealType.REPORT)
        return replace(parcel, exchange=OUTCOMES)

    def probe(self, attempt: str) -> Parcel:
        """Return what nobody hears, and the broker takes if there is an exchange."""
        return self._tick(_GATEWAY, PROBE, attempt)

    def tick(self, agent: Name, attempt: str) -> Parcel:
        """Return what an agent alone hears, if it has a queue."""
        return self._tick(agent, agent_key(agent), attempt)

    def resync(self, agent: Name, attempt: str) -> Parcel:
        """Return what has an agent alone look at everything."""
        message = _message(
            "resync", agent, Resync(reason=Note("for a while nothing led to the agent's queue in RabbitMQ"))
        )
        return self._parcel(encode(message), key=agent_key(agent), message_id=f"{message.id}.{attempt}")

    def state_requested(self, agent: Name, attempt: str) -> Parcel:
        """Return what has an agent alone send its full state; asked again later, it is of no use any more."""
        message = _message("state", agent, StateRequested(agent=agent))
        message_id = f"{message.id}.{attempt}"
        return self._parcel(encode(message), key=agent_key(agent), message_id=message_id, expires=_TICK_KEPT)

    def _tick(self, agent: Name, key: str, attempt: str) -> Parcel:
        tick = _message("tick", agent, Tick(agent=agent, sent=0))
        return self._parcel(encode(tick), key=key, message_id=f"{tick.id}.{attempt}", expires=_TICK_KEPT)

    def _parcel(
        self,
        body: bytes,
        *,
        key: str,
        message_id: str,
        expires: timedelta | None = None,
        seal_type: SealType = SealType.EVENT,
    ) -> Parcel:
        envelope: Mapping[str, Any] = orjson.loads(body)
        sealed = seal(body, seal_type=seal_type, audience=self.installation, now=utc_now(), signer=self.signer())
        return Parcel(
            exchange=EVENTS,
            message_id=message_id,
            key=key,
            type=envelope["type"],
            body=body,
            seal=sealed,
            headers={f"cloudEvents_{name}": envelope[name] for name in _ATTRIBUTES if name in envelope},
            expires=expires,
        )


def _message(kind: str, agent: Name, data: Resync | StateRequested | Tick) -> Message:
    """Return what the gateway says of itself, now."""
    now = utc_now()
    return Message(id=event_id(_GATEWAY, f"{kind}-{now.isoformat()}", agent), source="/gateway", time=now, data=data)
