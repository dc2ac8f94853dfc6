"""The AsyncAPI document: what travels over RabbitMQ, from the contract's own types, names and schemas.

It is told from the side of who connects beside the gateways: an observer hears, an agent hears and reports.
"""

import json
from typing import Any, Final, get_args

from bellpull import __version__
from bellpull.contract.event import ChangeUpdated, Event, RefUpdated
from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE, TYPES, Data, message_schema
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.routing import (
    BUDGETS,
    EVENTS,
    HEARTBEATS,
    OUTCOMES,
    PUSHES,
    REPORTS,
    SEAL,
    agent_queue,
    observer_queue,
    report_key,
)
from bellpull.contract.seal import SealType
from bellpull.contract.text import Name

__all__ = ["document"]

_BINDING: Final = "0.3.0"
_ME: Final = Name("name")
_NAMES: Final = {kind: name for name, kind in TYPES.items()}
_PUSHED: Final = (RefUpdated, ChangeUpdated)
_SAID: Final = get_args(Event)
_ATTRIBUTES: Final = ("specversion", "type", "source", "id", "time", "subject")
_ABOUT: Final = f"""\
What travels over RabbitMQ: CloudEvents 1.0 in structured JSON, at most {MAX_BYTES:,} bytes, sealed. Every queue and
exchange is there before anybody connects; who connects declares and binds nothing. A message counts only if its seal,
a detached JWS (RFC 7515, RFC 7797, Ed25519) over the exact bytes of the payload, fits a pinned key of its sender, for
this installation (`aud`) and for what it is (`typ`). Fields beyond a schema are to be ignored, and so are types that
are not here. How to observe is in the how-to of that name."""
_WORDS: Final = {
    "host": "The repository's host.",
    "owner": "The repository's path up to its first slash; `!` where it has none.",
    "name": "The rest of the path.",
    "kind": "`branch` or `tag`.",
    "ref": "The branch or tag.",
}


def document() -> str:
    """Return the document, in JSON."""
    return json.dumps(_document(), indent=2, ensure_ascii=False) + "\n"


def _document() -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "bellpull over RabbitMQ",
            "version": __version__,
            "description": " ".join(_ABOUT.split()),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": MEDIA_TYPE,
        "servers": {"rabbitmq": _server()},
        "channels": {
            "observed": _queue(observer_queue(_ME), "observer", "What one observer may hear.", (*_PUSHED, Report)),
            "heard": _queue(agent_queue(_ME), "agent", "What one agent is told.", _SAID),
            "pushes": _topic(PUSHES, "Pushes, for observers' queues to be bound to.", _PUSHED),
            "outcomes": _topic(OUTCOMES, "Reports that a gateway has checked, for observers' queues.", (Report,)),
            "events": _topic(EVENTS, "What gateways say, for agents' queues to be bound to.", _SAID),
            "reports": _own_key(REPORTS, "What became of commits, as agents say it.", Report),
            "heartbeats": _own_key(HEARTBEATS, "That agents are there, and how they are.", Heartbeat),
        },
        "operations": {
            "observe": _operation("receive", "observed", "An observer hears pushes and outcomes."),
            "hear": _operation("receive", "heard", "An agent hears that it should look."),
            "report": _operation("send", "reports", "An agent says what became of a commit."),
            "beat": _operation("send", "heartbeats", "An agent says that it is there."),
        },
        "components": {
            "messages": {_key(kind): _message(kind) for kind in TYPES.values()},
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "A user of its own, by PLAIN, over TLS."},
                "certificate": {"type": "X509", "description": "A certificate that says who this is, by EXTERNAL."},
            },
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "mq.example.org:5671",
        "pathname": "/{installation}",
        "protocol": "amqps",
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ 3.10 or later; the virtual host is the installation's own.",
        "variables": {"installation": {"description": "The virtual host.", "default": "bellpull"}},
        "security": [
            {"$ref": "#/components/securitySchemes/password"},
            {"$ref": "#/components/securitySchemes/certificate"},
        ],
    }


def _queue(name: str, who: str, about: str, kinds: tuple[type[Data], ...]) -> dict[str, Any]:
    queue = {"name": name.replace(_ME, f"{{{who}}}"), "durable": True, "exclusive": False, "autoDelete": False}
    return {
        "address": queue["name"],
        "description": about,
        "parameters": {who: {"description": f"The {who}'s name, which is its user's, too."}},
        "messages": _references(kinds),
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": _BINDING}},
    }


def _topic(exchange: str, about: str, kinds: tuple[type[Data], ...]) -> dict[str, Any]:
    budgets = dict(zip(_WORDS, BUDGETS, strict=True))
    return {
        "address": ".".join(f"{{{word}}}" for word in _WORDS),
        "description": f"{about} Published under a key of five words, each with its case folded and escaped.",
        "parameters": {
            word: {"description": f"{what} At most {budgets[word]} bytes; what is longer ends in a hash."}
            for word, what in _WORDS.items()
        },
        "messages": _references(kinds),
        "bindings": _exchange(exchange),
    }


def _own_key(exchange: str, about: str, kind: type[Data]) -> dict[str, Any]:
    return {
        "address": report_key(_ME).replace(_ME, "{agent}"),
        "description": f"{about} Each is published under its agent's own key; RabbitMQ refuses any other.",
        "parameters": {"agent": {"description": "The agent's name, escaped as words of topic keys are."}},
        "messages": _references((kind,)),
        "bindings": _exchange(exchange),
    }


def _exchange(name: str) -> dict[str, Any]:
    exchange = {"name": name, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}}


def _operation(action: str, channel: str, about: str) -> dict[str, Any]:
    ack = {"bindings": {"amqp": {"ack": True, "bindingVersion": _BINDING}}} if action == "receive" else {}
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": about, **ack}


def _references(kinds: tuple[type[Data], ...]) -> dict[str, Any]:
    return {_key(kind): {"$ref": f"#/components/messages/{_key(kind)}"} for kind in kinds}


def _key(kind: type[Data]) -> str:
    return kind.__name__


def _message(kind: type[Data]) -> dict[str, Any]:
    name = _NAMES[kind]
    payload = {key: value for key, value in message_schema(name).items() if key != "$schema"}
    return {
        "name": name,
        "title": name.removeprefix("dev.bellpull."),
        "summary": payload["description"],
        "contentType": MEDIA_TYPE,
        "headers": _headers(SealType.REPORT if kind in (Report, Heartbeat) else SealType.EVENT, name),
        "payload": {"schemaFormat": "application/schema+json;version=draft-07", "schema": payload},
        "bindings": {"amqp": {"messageType": name, "bindingVersion": _BINDING}},
    }


def _headers(seal_type: SealType, name: str) -> dict[str, Any]:
    copies = {f"cloudEvents_{each}": {"type": "string"} for each in _ATTRIBUTES}
    copies["cloudEvents_type"] = {"const": name}
    return {
        "type": "object",
        "required": [SEAL],
        "properties": {
            SEAL: {
                "type": "string",
                "pattern": r"^[A-Za-z0-9_-]{1,1024}\.\.[A-Za-z0-9_-]{86}$",
                "description": f"Detached JWS over the payload; its `typ` is `{seal_type}`.",
            },
            **{key: value | {"description": "A copy, for people; not sealed."} for key, value in copies.items()},
        },
    }
