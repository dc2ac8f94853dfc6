"""RabbitMQ's management API, as far as setting up needs it: read what is there, import definitions, delete.

For a person at a command line with a credential of its own; the running gateway never comes here (R21). What is made
is imported as definitions, which RabbitMQ does by itself: the credential needs no right in the virtual host for that.
Blocks. Redirects are not followed, proxies not asked, and no error has the password in it.
"""

import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final, Self, assert_never
from urllib.parse import quote

import orjson

from bellpull.runtime.rabbitmq.settings import is_loopback
from bellpull.runtime.secret import Secret
from gateway.core.definitions import things_of
from gateway.core.things import (
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

__all__ = ["REMOVAL", "Management", "ManagementError"]

REMOVAL: Final[tuple[type[Thing], ...]] = (User, Permission, TopicPermission, Binding, Queue, Exchange, Policy)
"""In which order things go: who could still use them first (R21)."""

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<prefix>(?:/[A-Za-z0-9._~-]+)*)/?"
)
_PORTS: Final = {"http": 15672, "https": 15671}
_TIMEOUT_S: Final = 60.0
_MAX_ANSWER: Final = 256 * 1024 * 1024
_NEEDS_ADMINISTRATOR: Final = "it has to be a user with the tag administrator"


class ManagementError(Exception):
    """The management API could not be asked, or did not do it; the message says which, why, and what to do."""


class Management:
    """A connection to it.

    Args:
        url: `https://HOST[:PORT][/PREFIX]`, `http` on this machine only.
        username: whom to log in as.
        password: its password.
        ca: PEM file of the authorities that may sign its certificate, instead of the system's.

    Raises:
        ValueError: the URL is none, has a user in it, or goes over a network without TLS.
        OSError: `ca` cannot be read.
    """

    def __init__(self, url: str, *, username: str, password: Secret, ca: Path | None = None) -> None:
        match = _parsed(url)
        self._url = match[0].rstrip("/")
        self._prefix = f"{match['prefix']}/api/"
        self._user = username
        login = b64encode(username.encode() + b":" + password.reveal()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        host, port = match["host"].strip("[]"), int(match["port"] or _PORTS[match["scheme"]])
        self._connection = (
            HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=ssl.create_default_context(cafile=ca))
            if match["scheme"] == "https"
            else HTTPConnection(host, port, timeout=_TIMEOUT_S)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def things(self, vhost: str) -> frozenset[Thing]:
        """Return all things of the virtual host, none if it is not there, and all users of the broker.

        Raises:
            ManagementError: they cannot be had.
        """
        try:
            found = things_of(self._ask("GET", "definitions"), vhost)
        except ValueError as error:
            raise ManagementError(f"{self._url}: what it answers {error}") from None
        return frozenset(each for each in found if not isinstance(each, VirtualHost) or each.name == vhost)

    def make(self, definitions: Mapping[str, Any]) -> None:
        """Import definitions: what is not there is made; of what is there, policies and permissions change.

        Raises:
            ManagementError: not all was made.
        """
        self._ask("POST", "definitions", definitions)

    def limit(self, user: User) -> None:
        """Set the limits of a user who is there; definitions would need the password again.

        Raises:
            ManagementError: not all was set.
        """
        for name, value in sorted(user.limits):
            self._ask("PUT", f"user-limits/{quote(user.name, safe='')}/{name}", {"value": value})

    def remove(self, thing: Thing, vhost: str) -> None:
        """Remove a thing; one that is gone already is none of its worries.

        Raises:
            ManagementError: it is still there.
        """
        for path in self._paths(thing, quote(vhost, safe="")):
            self._ask("DELETE", path, absent=None)

    def remove_vhost(self, vhost: str) -> None:
        """Remove a virtual host with all that is in it, for whoever made it: nothing else may know of it.

        Raises:
            ManagementError: it is still there.
        """
        self._ask("DELETE", f"vhosts/{quote(vhost, safe='')}", absent=None)

    def waiting(self, vhost: str, queue: str, count: int) -> list[Mapping[str, Any]]:
        """Return the first `count` messages of a queue, and leave them where they are.

        Raises:
            ManagementError: they cannot be had.
        """
        path = f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}/get"
        asked = {"count": count, "ackmode": "ack_requeue_true", "encoding": "base64", "truncate": 1}
        found = self._ask("POST", path, asked)
        return list(found) if isinstance(found, list) else []

    def purge(self, vhost: str, queue: str) -> None:
        """Delete all messages of a queue.

        Raises:
            ManagementError: they are still there.
        """
        self._ask("DELETE", f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}/contents")

    def _paths(self, thing: Thing, where: str) -> list[str]:
        match thing:
            case VirtualHost():
                raise TypeError("a virtual host is nothing to remove here")
            case Binding():
                return self._bindings(thing, where)
            case User(name=name):
                return [f"users/{quote(name, safe='')}"]
            case Permission(user=name):
                return [f"permissions/{where}/{quote(name, safe='')}"]
            case TopicPermission(user=name):
                return [f"topic-permissions/{where}/{quote(name, safe='')}"]
            case Exchange(name=name) | Queue(name=name) | Policy(name=name):
                return [f"{thing.section}/{where}/{quote(name, safe='')}"]
        assert_never(thing)

    def _bindings(self, binding: Binding, where: str) -> list[str]:
        """Return where a binding is: under a name that RabbitMQ makes of its key and arguments."""
        kind = "q" if binding.destination_type == "queue" else "e"
        source, destination = quote(binding.source, safe=""), quote(binding.destination, safe="")
        folder = f"bindings/{where}/e/{source}/{kind}/{destination}"
        return [
            f"{folder}/{quote(row['properties_key'], safe='')}"
            for row in self._ask("GET", folder, absent=())
            if row["routing_key"] == binding.routing_key and frozenset(row["arguments"].items()) == binding.arguments
        ]

    def _ask(self, method: str, path: str, value: object = None, **absent: Any) -> Any:
        """Ask, and return the JSON of the answer; for what is not there what `absent` says, if it says something."""
        body = None if value is None else orjson.dumps(value)
        try:
            self._connection.request(method, self._prefix + path, body, self._headers)
            answer = self._connection.getresponse()
            said = answer.read(_MAX_ANSWER)
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise ManagementError(f"{self._url}: {_reason(error)}: is this RabbitMQ's management API?") from None
        if answer.status == 404 and absent:
            return absent["absent"]
        if answer.status >= 300:
            raise ManagementError(f"{self._url}: {self._refusal(answer.status, said, f'{method} {path}')}")
        try:
            return orjson.loads(said) if said else None
        except ValueError:
            raise ManagementError(f"{self._url}: answers with no JSON: is this RabbitMQ's management API?") from None

    def _refusal(self, status: int, said: bytes, asked: str) -> str:
        reason = _said(said)
        if "ACCESS_REFUSED" in reason or "access_refused" in reason:
            return (
                f"{self._user} has no right in the virtual host ({reason}): rabbitmqctl set_permissions gives it one"
            )
        if status in {401, 403}:
            return f"{self._user} is refused ({status} {reason}): see name and password; {_NEEDS_ADMINISTRATOR}"
        return f"{asked} ended with {status}: {reason}"


def _parsed(url: str) -> re.Match[str]:
    """Read a URL. No error repeats it: there may be a password in it."""
    if "@" in url:
        raise ValueError("has a user or password in it: leave them out, and say --username and --password-file")
    match = _URL.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 1) <= 65535:
        raise ValueError("is no https://HOST[:PORT][/PREFIX]")
    if match["scheme"] == "http" and not is_loopback(match["host"].strip("[]")):
        raise ValueError(
            "would send the password over a network without TLS: use https (http is for this machine only)"
        )
    return match


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _said(body: bytes) -> str:
    """Return the reason of an answer, in one line; RabbitMQ writes some as lists of characters' numbers."""
    try:
        reason = orjson.loads(body)["reason"]
    except (ValueError, KeyError, TypeError):
        return "no reason given"
    parts = reason if isinstance(reason, list) else [reason]
    return " ".join(_text(part) for part in parts).replace("\n", " ")[:500]


def _text(part: object) -> str:
    if isinstance(part, list) and all(isinstance(each, int) and 0 <= each < 0x110000 for each in part):
        return "".join(map(chr, part))
    return str(part)
