"""The part of the configuration that says where the gateway listens, and to whom."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from bellpull.runtime.address import Address
from bellpull.runtime.config import Settings
from bellpull.runtime.duration import shown
from bellpull.runtime.http import network

__all__ = ["Listen", "Listener", "TlsSettings"]

_WITH_TLS: Final = 256
_WITHOUT: Final = 2048


def _network(value: str) -> str:
    network(value)
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class TlsSettings(Settings):
    """Files in PEM; they are read again when they change, for connections that come after that."""

    cert: Path
    """The certificate, and those that lead from it to an authority."""
    key: Path
    """Its private key."""


class Listener(Settings):
    """`HOST:PORT`, or a mapping where more is to be said. Without TLS it is on loopback or says `insecure: true`."""

    address: Address
    """Where it listens."""
    tls: TlsSettings | None = None
    """TLS that ends in the gateway, for small set-ups; else end it in front."""
    insecure: bool = False
    """Listen on an address others reach, without TLS: for networks where only a proxy that ends TLS comes."""
    max_connections: Annotated[int | None, Field(ge=8, le=100_000), shown("256 with TLS, else 2048")] = None
    """Connections at once; beyond it strangers are hung up on, those first that have said nothing."""

    @model_validator(mode="before")
    @classmethod
    def _is_an_address(cls, value: object) -> object:
        return value if isinstance(value, dict | Listener) else {"address": Address.parse(str(value))}

    @model_validator(mode="after")
    def _is_open_on_purpose(self) -> Self:
        if self.tls is not None and self.insecure:
            raise ValueError("has tls and says insecure: leave one out")
        if self.tls is None and not self.insecure and not _is_loopback(self.address.host):
            raise ValueError(
                f"{self.address} can be reached from outside, without TLS: write {{address: {self.address!s}, tls: "
                "{cert: FILE, key: FILE}}, or insecure: true in place of tls where a proxy in front ends it"
            )
        return self

    @property
    def connections(self) -> int:
        """How many there may be."""
        return self.max_connections or (_WITHOUT if self.tls is None else _WITH_TLS)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return _is_loopback(self.address.host)

    @property
    def scheme(self) -> str:
        """What its URLs begin with."""
        return "http" if self.tls is None else "https"


def _on_loopback(port: int) -> Listener:
    return Listener(address=Address(host="127.0.0.1", port=port))


class Listen(Settings):
    """Where the three listeners are, and who may speak for others."""

    hooks: Annotated[Listener, shown("127.0.0.1:8080")] = _on_loopback(8080)
    """For the Git providers: POST to sources, nothing else."""
    agents: Annotated[Listener, shown("127.0.0.1:8081")] = _on_loopback(8081)
    """For agents: the stream, and reports."""
    console: Annotated[Listener, shown("127.0.0.1:8082")] = _on_loopback(8082)
    """For operators: API, metrics, health."""
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Addresses or networks whose `X-Forwarded-For` is believed, for logs; none has a limit of its own."""

    def each(self) -> dict[str, Listener]:
        """Return the listeners by name."""
        return {"hooks": self.hooks, "agents": self.agents, "console": self.console}

    def connections(self) -> dict[str, int]:
        """Return how many each is to have at once, by name."""
        return {name: listener.connections for name, listener in self.each().items()}
