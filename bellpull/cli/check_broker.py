"""Whether a gateway's RabbitMQ can be reached, lets it in, and has what its agents need.

What is looked with is what the gateway itself looks with: a tick that nobody hears, and one to each agent, which its
queue forgets within a minute.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

from bellpull.cli.check_dial import of_broker_at
from bellpull.cli.finding import Finding, bad, good
from bellpull.contract.text import Name
from bellpull.runtime.config import SecretError, read_secret
from bellpull.runtime.jose import JoseError, load_private
from bellpull.runtime.rabbitmq.publish import publishing
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.app.config import GatewayConfig
from gateway.app.enrolment import load_enrolments
from gateway.app.parcels import Parcels
from gateway.app.way import Way
from gateway.core.sending import Link

__all__ = ["of_broker"]

_WHAT: Final = "queue.rabbitmq"
_SET_UP: Final = "bellpull broker setup"


def of_broker(config: GatewayConfig, folder: Path) -> list[Finding]:
    """Return what is found of the broker, if there is to be one; `folder` is that of the configuration."""
    if config.queue is None:
        return []
    settings = config.queue.rabbitmq
    try:
        signer = load_private(read_secret(config.seal.key, folder).reveal())
    except (SecretError, JoseError):
        return [bad(_WHAT, "not asked, for want of the sealing key", "see seal.key above")]
    agents = sorted(load_enrolments(folder / config.agents).records)
    parcels = Parcels(installation=config.installation, signer=lambda: signer)
    way = Way(partial(publishing, settings, folder, "bellpull check"), parcels, lambda: agents, _nobody)
    link = asyncio.run(way.look())
    if link.down is not None and (unreached := of_broker_at(settings, folder, _WHAT)) is not None:
        return [unreached]
    return _found(settings, link, len(agents))


async def _nobody() -> list[Name]:
    return []


def _found(settings: RabbitMQSettings, link: Link, agents: int) -> list[Finding]:
    if link.missing:
        return [bad(_WHAT, missing, _SET_UP) for missing in link.missing]
    if link.down is not None:
        return [
            bad(_WHAT, link.down, "see that the virtual host in url, username and password are those of the set-up")
        ]
    where = f"{settings.host}:{settings.port}, virtual host {settings.vhost}"
    return [good(_WHAT, f"{where}: takes what {settings.username} publishes, and has the queues of {agents} agents")]
