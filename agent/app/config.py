"""The agent's configuration file."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import HttpUrl, model_validator

from bellpull.contract.text import Name
from bellpull.runtime.config import SecretRef, Settings, kind, load
from bellpull.runtime.rabbitmq.settings import QueueSettings

__all__ = ["AgentConfig", "GatewaySettings", "GitSettings", "load_config"]


NameField = Annotated[Name, kind(Name)]


class GatewaySettings(Settings):
    """Which gateway this agent hears, and how it knows it."""

    url: HttpUrl | None = None
    """The gateway's `agents` listener. With `queue` it is only asked how this agent stands, and may be left out."""
    installation: NameField
    """The gateway's `installation`: what is sealed for another one is not accepted."""
    keys: SecretRef
    """JWK Set of the gateway's public sealing keys; several while they are being rotated."""
    token: SecretRef | None = None
    """This agent's token, from `bellpull enroll`; what `url` asks for."""
    ca: Path | None = None
    """PEM file of the authorities that may sign the gateway's certificate, instead of the system's."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if (self.url is None) != (self.token is None):
            raise ValueError("url and token belong together")
        return self


class GitSettings(Settings):
    """What holds for every Git server."""

    ca: Path | None = None
    """PEM file of authorities that may sign Git servers' certificates, beside the system's."""


class AgentConfig(Settings):
    """All of the agent's configuration file. Paths are relative to the file."""

    agent: NameField
    """This agent's name, as enrolled."""
    environment: NameField
    """Where this is, such as `production`; one of those it was enrolled for."""
    gateway: GatewaySettings
    queue: QueueSettings | None = None
    """Where events come from and reports go to, instead of the gateway's own stream."""
    report_key: SecretRef
    """This agent's private Ed25519 key (JWK), with which its reports are sealed."""
    syncs: Path
    """A file, or a folder of `*.yaml` files, of `kind: Sync` documents."""
    secrets: Path | None = None
    """A folder with a folder for each `secretRef`, with the files that its Sync's `source` needs."""
    state: Path
    """A folder of the agent's own: mirrors, what was applied, where it stands in the stream."""
    git: GitSettings = GitSettings()

    @model_validator(mode="after")
    def _can_hear(self) -> Self:
        if self.queue is None and self.gateway.url is None:
            raise ValueError("nothing to hear: say gateway.url and gateway.token, or queue")
        return self


def load_config(path: Path) -> AgentConfig:
    """Read the configuration file; paths in it come back absolute.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    config = load(AgentConfig, path)
    folder = path.absolute().parent

    def absolute(relative: Path | None) -> Path | None:
        return None if relative is None else folder / relative

    gateway = config.gateway.model_copy(update={"ca": absolute(config.gateway.ca)})
    return config.model_copy(
        update={
            "gateway": gateway,
            "syncs": absolute(config.syncs),
            "secrets": absolute(config.secrets),
            "state": absolute(config.state),
            "git": GitSettings(ca=absolute(config.git.ca)),
        }
    )
