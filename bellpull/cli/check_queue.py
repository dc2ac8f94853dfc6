"""Whether an agent's RabbitMQ lets it in, and has its queue: looked at as the agent does; nothing is taken away."""

from typing import Final

from agent.adapters.rabbitmq import RabbitMQQueue
from agent.ports.queue import AccessRefusedError, QueueError
from bellpull.cli.check_standing import Files
from bellpull.cli.finding import Finding, bad, good
from bellpull.contract.routing import agent_queue

__all__ = ["of_queue"]

_WHAT: Final = "queue.rabbitmq"


async def of_queue(files: Files) -> list[Finding]:
    """Return whether this agent can hear its queue, if it is to."""
    if files.config.queue is None:
        return []
    settings, agent = files.config.queue.rabbitmq, files.config.agent
    try:
        await RabbitMQQueue(settings, files.path.absolute().parent, agent).look()
    except AccessRefusedError as error:
        return [bad(_WHAT, str(error), "are username, password and virtual host those that `bellpull enroll` wrote?")]
    except QueueError as error:
        advice = "see that it runs, that url is right, and that `bellpull broker setup` shows nothing missing"
        return [bad(_WHAT, str(error), advice)]
    where = f"{settings.host}:{settings.port}, virtual host {settings.vhost}"
    return [good(_WHAT, f"{where}: lets {settings.username} read {agent_queue(agent)}")]
