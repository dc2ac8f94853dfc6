"""Whether an agent's RabbitMQ lets it in, and has its queue: looked at as the agent does; nothing is taken away."""

import asyncio
from typing import Final

from agent.adapters.rabbitmq import RabbitMQQueue
from agent.ports.queue import AccessRefusedError, QueueError
from bellpull.cli.check_dial import of_broker_at
from bellpull.cli.check_standing import Files
from bellpull.cli.finding import Finding, bad, good
from bellpull.contract.routing import agent_queue

__all__ = ["of_queue"]

_WHAT: Final = "queue.rabbitmq"


async def of_queue(files: Files) -> list[Finding]:
    """Return whether this agent can hear its queue, if it is to."""
    if files.config.queue is None:
        return []
    settings, agent, folder = files.config.queue.rabbitmq, files.config.agent, files.path.absolute().parent
    try:
        await RabbitMQQueue(settings, folder, agent).look()
    except AccessRefusedError as error:
        return [bad(_WHAT, str(error), "are username, password and virtual host those that `bellpull enroll` wrote?")]
    except QueueError as error:
        if (unreached := await asyncio.to_thread(of_broker_at, settings, folder, _WHAT)) is not None:
            return [unreached]
        return [bad(_WHAT, str(error), "see that `bellpull broker setup` shows nothing missing")]
    where = f"{settings.host}:{settings.port}, virtual host {settings.vhost}"
    return [good(_WHAT, f"{where}: lets {settings.username} read {agent_queue(agent)}")]
