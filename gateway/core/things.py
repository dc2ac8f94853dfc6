"""What RabbitMQ holds, each thing as a value that is shaped as its own definitions have it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

__all__ = [
    "FEW_CONNECTIONS",
    "Arguments",
    "Binding",
    "Exchange",
    "Permission",
    "Policy",
    "Queue",
    "Thing",
    "TopicPermission",
    "User",
    "VirtualHost",
    "arguments",
    "exactly",
]

Arguments: TypeAlias = frozenset[tuple[str, str | int | bool]]
"""What RabbitMQ calls a table, here of plain values only."""

NOTHING: Final = "^$"
"""A regular expression that no name fits."""
FEW_CONNECTIONS: Final[Arguments] = frozenset({("max-connections", 4), ("max-channels", 16)})
"""What who only listens and reports needs: one connection, and what is left of some that broke until RabbitMQ knows
of it. So a stolen credential cannot take all connections of the virtual host."""


def arguments(table: Mapping[str, str | int | bool]) -> Arguments:
    """Return a table as a value."""
    return frozenset(table.items())


def exactly(*names: str) -> str:
    """Return a regular expression, as RabbitMQ reads them, for these names alone."""
    escaped = [re.sub(r"[^A-Za-z0-9_-]", r"\\\g<0>", name) for name in names]
    return f"^{escaped[0]}$" if len(escaped) == 1 else f"^({'|'.join(escaped)})$"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """The one of an installation, in which all else is."""

    section: ClassVar[str] = "vhosts"
    identity: ClassVar[tuple[str, ...]] = ("name",)
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Where messages are published."""

    section: ClassVar[str] = "exchanges"
    identity: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Arguments = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Where messages wait."""

    section: ClassVar[str] = "queues"
    identity: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    durable: bool = True
    auto_delete: bool = False
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Which messages of an exchange a queue gets: all of it says which binding it is."""

    section: ClassVar[str] = "bindings"
    identity: ClassVar[tuple[str, ...]] = ("source", "destination", "destination_type", "routing_key", "arguments")
    source: str
    destination: str
    destination_type: str = "queue"
    routing_key: str = ""
    arguments: Arguments = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for all queues whose names fit."""

    section: ClassVar[str] = "policies"
    identity: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    pattern: str
    applies_to: str = "queues"
    priority: int = 0
    definition: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who may log in, and how often at once; whether it is of an installation its tags say."""

    section: ClassVar[str] = "users"
    identity: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    tags: frozenset[str]
    limits: Arguments = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a user may do in the virtual host: regular expressions on the names of queues and exchanges."""

    section: ClassVar[str] = "permissions"
    identity: ClassVar[tuple[str, ...]] = ("user",)
    user: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPermission:
    """Under which keys a user may publish to a topic exchange, and bind from it."""

    section: ClassVar[str] = "topic_permissions"
    identity: ClassVar[tuple[str, ...]] = ("user", "exchange")
    user: str
    exchange: str
    write: str = NOTHING
    read: str = NOTHING


Thing: TypeAlias = VirtualHost | User | Permission | TopicPermission | Exchange | Queue | Policy | Binding
