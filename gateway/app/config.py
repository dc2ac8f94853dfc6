"""The gateway's configuration file."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from bellpull.contract.patterns import is_pattern
from bellpull.contract.text import Name
from bellpull.runtime.config import SecretRef, Settings, kind, load
from bellpull.runtime.duration import Duration, duration, shown, within
from bellpull.runtime.rabbitmq.settings import QueueSettings
from gateway.app.listen import Listen
from gateway.core.providers import PROVIDERS
from gateway.core.room import MIN_BYTES

__all__ = [
    "DrainSettings",
    "GatewayConfig",
    "JournalSettings",
    "Patterns",
    "SealSettings",
    "SourceSettings",
    "load_config",
]

_GRACE: Final = timedelta(seconds=5)


def _provider(value: str) -> str:
    if value not in PROVIDERS:
        raise ValueError(f"is none of {', '.join(sorted(PROVIDERS))}")
    return value


def _pattern(value: str) -> str:
    if not is_pattern(value):
        raise ValueError("is no pattern: write HOST/PATH, with * within a part and ** across parts")
    return value


Patterns = Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(min_length=1)]
"""Repositories, at least one pattern."""


class SealSettings(Settings):
    """How events are sealed."""

    key: SecretRef
    """The installation's private Ed25519 key (JWK), shared by its gateways."""


class JournalSettings(Settings):
    """How much the journal holds. What goes, goes oldest first, and agents that had not heard it are told so."""

    max_bytes: Annotated[int, Field(ge=MIN_BYTES)] = 1024 * 1024 * 1024
    """Size of `journal.db` at most; from nine tenths of it on the oldest events go. Keep it well below the disk."""
    keep: Annotated[Duration, within("1h", "87600h"), shown("720h")] = duration("720h")
    """How long events, and what became of them, are kept."""
    unsafe: bool = False
    """Run on NFS, SMB, FUSE or a container's own layer all the same, where a 2xx promises nothing."""


class DrainSettings(Settings):
    """How the gateway stops."""

    grace: Annotated[
        Annotated[Duration, within("0s", "5m")] | None, shown("5s where others reach a listener, else 0s")
    ] = None
    """How long it goes on taking pushes when asked to stop, with `/readyz` 503, so that balancers notice."""
    deadline: Annotated[Duration, within("0s", "10m"), shown("20s")] = duration("20s")
    """How long it then goes on sending to RabbitMQ what waits; the rest goes after the next start."""


class SourceSettings(Settings):
    """One webhook: its URL is `/hooks/NAME` on the `hooks` listener."""

    name: Annotated[Name, kind(Name)]
    """What its URL ends in, and what events say they came by."""
    provider: Annotated[str, AfterValidator(_provider)]
    """Who sends it: `github`, or `generic` for what can run a hook (see the how-to for any Git server)."""
    secrets: Annotated[tuple[SecretRef, ...], Field(min_length=1)]
    """What deliveries are signed with; several while a secret is being rotated."""
    repositories: Patterns
    """What it may announce: patterns on `HOST/PATH`."""


class GatewayConfig(Settings):
    """All of the gateway's configuration file. Paths are relative to the file."""

    installation: Annotated[Name, kind(Name)]
    """This installation's name: agents accept only what is sealed for it."""
    data: Path
    """A folder of the gateway's own: the journal and the state."""
    seal: SealSettings
    listen: Listen = Listen()
    journal: JournalSettings = JournalSettings()
    drain: DrainSettings = DrainSettings()
    queue: QueueSettings | None = None
    agents: Path = Path("agents")
    """A folder with an enrolment record for each agent, written by `bellpull enroll`."""
    observers: Path = Path("observers")
    """A folder with a record for each observer in RabbitMQ, written by `bellpull enroll --observer`."""
    sources: tuple[SourceSettings, ...] = ()

    def grace(self) -> timedelta:
        """Return how long it goes on taking pushes when asked to stop."""
        if self.drain.grace is not None:
            return self.drain.grace
        alone = all(each.is_local for each in self.listen.each().values())
        return timedelta() if alone else _GRACE

    def queue_secrets(self) -> Iterator[SecretRef]:
        """Return what the gateway logs in to the broker with."""
        if self.queue is not None:
            yield from self.queue.rabbitmq.secrets()

    @model_validator(mode="after")
    def _names_each_source_once(self) -> Self:
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sources: the name {twice[0]} is there twice")
        return self


def load_config(path: Path) -> GatewayConfig:
    """Read the configuration file; `data` and `agents` come back as they are written, secrets are not read.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    return load(GatewayConfig, path)
