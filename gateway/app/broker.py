"""What a gateway with `queue.rabbitmq` does besides: its events go there, and what agents say there is heard.

Neither is waited for by anybody, and neither ends the gateway: what is wrong is told, and tried again. At the end
what agents say is no longer heard, and what was accepted is sent until nothing waits that can go, or the deadline
comes; the journal keeps the rest for the next start (R11).
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from secrets import token_hex

from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from bellpull.runtime.rabbitmq.publish import publishing
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.adapters.ears import hearing_agents, hearing_gateways
from gateway.app.admission import AgentsParts
from gateway.app.forwarder import Forwarder, ForwarderParts
from gateway.app.notices import Telling
from gateway.app.overhearing import Overhearing
from gateway.app.parcels import Parcels
from gateway.core.projection import AWAY_AFTER
from gateway.ports.outgoing import Outgoing
from gateway.ports.state import State

__all__ = ["over_broker"]

_log = logger("gateway.forwarder")


@asynccontextmanager
async def over_broker(
    settings: RabbitMQSettings,
    folder: Path,
    parts: AgentsParts,
    outgoing: Outgoing,
    *,
    deadline: timedelta,
    observers: Path = Path("observers"),
) -> AsyncIterator[Callable[[], Sequence[str]]]:
    """Send and hear over RabbitMQ while the context lasts; yields what tells what is wrong.

    Args:
        settings: where it is.
        folder: of the configuration file.
        parts: what is known of agents, and where their words go.
        outgoing: what waits.
        deadline: how long sending may go on at the end.
        observers: where their records are, relative to the configuration file.

    Raises:
        ExceptionGroup: of `DiskFailed`: the journal or the state cannot be read; or of what ended the context.
    """
    name = _name()
    forwarder = _forwarder(settings, folder, parts, outgoing, name)
    telling = Telling(
        parts.notices, folder / observers, _parcels(parts), partial(publishing, settings, folder, name), parts.metrics
    )
    where = (settings, folder, name)
    ears = Overhearing(parts, partial(hearing_agents, *where), partial(hearing_gateways, *where), forwarder.ask)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(forwarder.run())
        listening = group.create_task(ears.run())
        telling_them = group.create_task(telling.run())
        yield lambda: (*forwarder.problems(), *ears.problems(), *telling.problems())
        listening.cancel()
        left = await forwarder.finish(deadline.total_seconds())
        sending.cancel()
        telling_them.cancel()
    if left:
        _log.info("events wait for the next start", left=left)


def _forwarder(
    settings: RabbitMQSettings, folder: Path, parts: AgentsParts, outgoing: Outgoing, name: str
) -> Forwarder:
    return Forwarder(
        ForwarderParts(
            journal=parts.journal,
            outgoing=outgoing,
            parcels=_parcels(parts),
            audience=lambda: parts.enrolments().audience,
            present=partial(_present, parts.state),
            connect=partial(publishing, settings, folder, name),
            metrics=parts.metrics,
            notices=parts.notices,
        )
    )


def _parcels(parts: AgentsParts) -> Parcels:
    return Parcels(installation=parts.installation, signer=parts.signer)


async def _present(state: State) -> Collection[Name]:
    """Return the agents that were heard lately."""
    now = utc_now()
    return [agent for agent, last in (await state.agents()).items() if now - last.heard <= AWAY_AFTER]


def _name() -> str:
    """Return what RabbitMQ shows for this gateway's connections; no other process has it."""
    return f"bellpull gateway {socket.gethostname()} {token_hex(4)}"
