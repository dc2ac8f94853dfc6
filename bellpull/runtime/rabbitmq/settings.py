"""How a program reaches RabbitMQ, as its configuration file says it: the same keys for both programs.

The URL says where, and nothing else: a user or password in it would end in logs and errors, so it is refused, and so
is what goes over a network without TLS. A client certificate without a password means that the certificate is who we
are (EXTERNAL); with a password the broker checks both (PLAIN).
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, model_validator

from bellpull.runtime.config import SecretRef, Settings

__all__ = ["QueueSettings", "RabbitMQSettings", "is_loopback"]

_URL: Final = re.compile(
    r"(?P<scheme>amqps?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<vhost>(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*))?"
)
_PORTS: Final = {"amqps": 5671, "amqp": 5672}


def is_loopback(host: str) -> bool:
    """Whether what is said to `host` (a name or an address, without brackets) stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _url(value: str) -> str:
    """Check a URL. No error repeats it: what was written in the wrong place may be a password.

    Raises:
        ValueError: it is none, has a user in it, or goes over a network without TLS.
    """
    authority = value.partition("://")[2].split("/", 1)[0]
    if "@" in authority:
        raise ValueError("has a user or password in it: leave them out, and say username and password: {file: PATH}")
    match = _URL.fullmatch(value)
    if match is None or not 0 < int(match["port"] or 1) <= 65535:
        raise ValueError("is no amqps://HOST[:PORT][/VHOST] (write %2F for a slash in VHOST)")
    if match["scheme"] == "amqp" and not is_loopback(match["host"].strip("[]")):
        raise ValueError("goes over a network without TLS: use amqps (amqp is for this machine only)")
    return value


class RabbitMQSettings(Settings):
    """Where RabbitMQ is, and who we are there."""

    url: Annotated[str, AfterValidator(_url)]
    """`amqps://HOST[:PORT][/VHOST]`, without user and password; `amqp` on this machine only."""
    username: Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f:]+$", max_length=255)]
    """This program's own user there; what it publishes bears it."""
    password: SecretRef | None = None
    """The user's password; not needed where a client certificate says who this is."""
    ca: Path | None = None
    """PEM file of the authorities that may sign the broker's certificate, instead of the system's."""
    certificate: Path | None = None
    """PEM file of this program's own certificate; alone it says who this is (with a password, both do)."""
    key: Path | None = None
    """PEM file of the certificate's private key."""

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if self.password is None and self.certificate is None:
            raise ValueError("needs password, or certificate and key")
        if not self.tls and (self.ca or self.certificate):
            raise ValueError("ca, certificate and key are of no use without TLS: use amqps")
        return self

    def secrets(self) -> Iterator[SecretRef]:
        """Return what only its owner should be able to read."""
        if self.password is not None:
            yield self.password
        if self.key is not None:
            yield SecretRef(file=self.key)

    @property
    def tls(self) -> bool:
        """Whether TLS is spoken."""
        return self._part("scheme") == "amqps"

    @property
    def external(self) -> bool:
        """Whether the certificate alone says who we are."""
        return self.password is None

    @property
    def host(self) -> str:
        """The name or address, without brackets."""
        return self._part("host").strip("[]")

    @property
    def port(self) -> int:
        """The port, 5671 or without TLS 5672 where none was said."""
        return int(self._part("port") or _PORTS[self._part("scheme")])

    @property
    def vhost(self) -> str:
        """The virtual host, `/` where none was said."""
        return unquote(self._part("vhost")) or "/"

    def _part(self, name: str) -> str:
        match = _URL.fullmatch(self.url)
        return (match[name] or "") if match else ""


class QueueSettings(Settings):
    """What carries events to agents, and what they say back, beside or instead of the gateway's own stream."""

    rabbitmq: RabbitMQSettings
