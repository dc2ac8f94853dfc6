"""RabbitMQ's own form of what it holds (`GET /api/definitions`, `rabbitmqctl import_definitions`), and our things.

Of a password there is only the salted hash in it, as RabbitMQ keeps it.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from hashlib import sha256
from typing import Any, Final

from gateway.core.things import (
    Arguments,
    Binding,
    Exchange,
    Permission,
    Policy,
    Queue,
    Thing,
    TopicPermission,
    User,
    VirtualHost,
)

__all__ = ["ORDER", "password_hash", "things_of", "to_definitions"]

ORDER: Final[tuple[type[Thing], ...]] = (
    VirtualHost,
    User,
    Permission,
    TopicPermission,
    Exchange,
    Queue,
    Policy,
    Binding,
)
"""All kinds of things, each after what it needs."""
_GLOBAL: Final = (VirtualHost, User)
_NAMES: Final = {"applies_to": "apply-to"}
_HASHING: Final = "rabbit_password_hashing_sha256"


def password_hash(password: bytes, salt: bytes) -> str:
    """Return what RabbitMQ keeps of a password.

    Args:
        password: the password.
        salt: four random bytes.
    """
    return b64encode(salt + sha256(salt + password).digest()).decode()


def to_definitions(things: Iterable[Thing], vhost: str, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return the definitions of `things`, in an order that is always the same.

    Args:
        things: what to write.
        vhost: where they are.
        hashes: `password_hash` for each user among them.
    """
    rows: dict[str, list[dict[str, Any]]] = {kind.section: [] for kind in ORDER}
    for thing in sorted(things, key=repr):
        row = {_NAMES.get(field.name, field.name): _plain(getattr(thing, field.name)) for field in fields(thing)}
        if isinstance(thing, User):
            row |= {"password_hash": hashes[thing.name], "hashing_algorithm": _HASHING}
        if not isinstance(thing, _GLOBAL):
            row["vhost"] = vhost
        rows[thing.section].append(row)
    return dict(rows)


def things_of(definitions: Any, vhost: str) -> frozenset[Thing]:
    """Return all things of the virtual host that `definitions` tell of, and all users.

    Raises:
        ValueError: these are no definitions.
    """
    try:
        return frozenset(_read(definitions, vhost))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"are no definitions of RabbitMQ: {type(error).__name__} {error}") from None


def _read(definitions: Any, vhost: str) -> Iterator[Thing]:
    for kind in ORDER:
        for row in definitions[kind.section]:
            if kind in _GLOBAL or row["vhost"] == vhost:
                yield _thing(kind, row)


def _thing(kind: type[Thing], row: Mapping[str, Any]) -> Thing:
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = _NAMES.get(field.name, field.name)
        if name in row or field.default is MISSING:
            values[field.name] = _value(row[name])
    if kind is User:
        values["tags"] = frozenset(row["tags"])
    if kind is Queue:
        values["arguments"] = _typed(values["arguments"])
    return kind(**values)


def _typed(table: Arguments) -> Arguments:
    """A queue that says no type is a classic one."""
    return table if any(name == "x-queue-type" for name, _ in table) else table | {("x-queue-type", "classic")}


def _value(value: Any) -> Any:
    """Return a table as a value; what is no plain value in it is not ours, and need only be told from others."""
    if not isinstance(value, dict):
        return value
    return frozenset((name, each if isinstance(each, str | int) else repr(each)) for name, each in value.items())


def _plain(value: Any) -> Any:
    if not isinstance(value, frozenset):
        return value
    return dict(sorted(value)) if all(isinstance(each, tuple) for each in value) else sorted(value)
