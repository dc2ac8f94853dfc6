"""Where messages go in RabbitMQ: the names of its exchanges and queues, and the keys under which they are published.

Events have topic keys of five words, `host.owner.name.kind.ref`, within 255 bytes (R25): a path is cut at its first
slash, as a topic exchange compares whole words, and who hears is mostly said by owner; one without a slash has none.

Case is folded. Each word escapes what would break it (`.`, `*`, `#`, `%`, `!`, controls, what is not ASCII) as
`%xx`, and one beyond its own budget ends in `!` and a hash, so that bindings with a wildcard for a word keep
working. Two different (folded) names never share a key, bar a collision of SHA-256 cut to 80 bits.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from bellpull.contract.repository import Ref, Repository
from bellpull.contract.text import Name

__all__ = [
    "BUDGETS",
    "DEAD_LETTERS",
    "EVENTS",
    "HEARTBEATS",
    "OUTCOMES",
    "PUSHES",
    "REPORTS",
    "SEAL",
    "agent_key",
    "agent_queue",
    "binding_key",
    "gateway_queue",
    "observer_queue",
    "owner_and_name",
    "report_key",
    "routing_key",
]

EVENTS: Final = "bellpull.events"
"""Exchange (topic, durable): what gateways say, under `routing_key` of what changed, or `agent_key` of one agent."""
REPORTS: Final = "bellpull.reports"
"""Exchange (topic, durable): agents' reports, each under its own `report_key`."""
HEARTBEATS: Final = "bellpull.heartbeats"
"""Exchange (topic, durable): agents' heartbeats, each under its own `report_key`; they are not persistent (R23)."""
DEAD_LETTERS: Final = "bellpull.dead-letters"
"""Exchange (headers) and queue: what agents rejected; nothing that merely found no room (R20)."""

PUSHES: Final = "bellpull.notify.pushes"
"""Exchange (topic, durable): pushes for observers, under `routing_key`; beside the agents' way, and after it."""
OUTCOMES: Final = "bellpull.notify.outcomes"
"""Exchange (topic, durable): agents' reports for observers once a gateway has checked them, under `routing_key`."""

SEAL: Final = "bellpull-seal"
"""The header with the seal over the body; the others are for people, and never read."""

BUDGETS: Final = (60, 40, 60, 8, 83)
"""Bytes for each word; with four dots they stay within AMQP's 255."""
_NO_OWNER: Final = "!"
"""The word of a path without a slash; no name has it, as it is escaped there."""
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_/:@+~=,")
_HASH_DIGITS: Final = 20


def routing_key(repository: Repository, ref: Ref) -> str:
    """Return the key under which an event about `ref` of `repository` is published."""
    return ".".join(_words((repository.host, *owner_and_name(repository.path), ref.kind.value, ref.name)))


def binding_key(host: str | None = None, owner: str | None = None, name: str | None = None) -> str:
    """Return what binds a queue to every ref of repositories; None stands for any host, owner or name."""
    return ".".join((*_words((host, owner, name)), "*", "*"))


def owner_and_name(path: str) -> tuple[str, str]:
    """Return the two parts of a path that become words; the first is empty where the path has no slash."""
    owner, slash, name = path.partition("/")
    return (owner, name) if slash else ("", path)


def _words(words: Iterable[str | None]) -> Iterator[str]:
    for word, budget in zip(words, BUDGETS, strict=False):
        if word is None:
            yield "*"
        else:
            yield _word(word.casefold(), budget) or _NO_OWNER


def agent_queue(agent: Name) -> str:
    """Return the name of an agent's own queue."""
    return f"bellpull.agent.{agent}"


def agent_key(agent: Name) -> str:
    """Return the key under which one agent alone is told something: two words, so that no event has it."""
    return f"agent.{_word(agent, BUDGETS[0] + BUDGETS[1])}"


def gateway_queue(instance: str) -> str:
    """Return the name of a queue that a gateway makes for itself; `instance` is of no other that is there."""
    return f"bellpull.gw.{instance}"


def observer_queue(observer: Name) -> str:
    """Return the name of an observer's own queue."""
    return f"bellpull.observer.{observer}"


def report_key(agent: Name) -> str:
    """Return the key under which an agent publishes, and under which it may: two words, its name without a dot."""
    return f"report.{_word(agent, BUDGETS[0] + BUDGETS[1])}"


def _word(value: str, budget: int) -> str:
    raw = value.encode()
    escaped = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in raw)
    if len(escaped) <= budget:
        return escaped
    return f"{escaped[: budget - _HASH_DIGITS - 1]}!{sha256(raw).hexdigest()[:_HASH_DIGITS]}"
