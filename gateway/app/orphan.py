"""A journal without a gateway: what it accepted is sent to RabbitMQ, and nothing is taken (R7)."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from bellpull.runtime.config import Problems
from bellpull.runtime.files import FolderLock, LockError
from bellpull.runtime.jose import load_private
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.rabbitmq.settings import QueueSettings
from bellpull.runtime.service import Fatal, leaves
from gateway.app.agents import AgentsParts
from gateway.app.broker import over_broker
from gateway.app.config import GatewayConfig
from gateway.app.enrolment import load_enrolments
from gateway.app.storage import open_storage
from gateway.ports.disk import DiskFailed
from gateway.ports.journal import JournalError
from gateway.ports.state import StateError

__all__ = ["send_all"]

_LOOK_S: Final = 0.1
Tell = Callable[[int, Sequence[str]], None]


def send_all(config: GatewayConfig, path: Path, tell: Tell) -> None:
    """Send what waits until nothing does; `tell` is told how much waits, and what is in the way.

    Args:
        config: with a queue.
        path: where it was read from.
        tell: called now and then.

    Raises:
        ConfigError: the sealing key cannot be used.
        Fatal: a gateway has the journal, or it cannot be read.
    """
    if config.queue is None:
        raise AssertionError("unreachable: it was asked for a queue")
    data = path.parent / config.data
    try:
        with FolderLock(data):
            asyncio.run(_send_all(config, config.queue, path, tell))
    except (LockError, JournalError, StateError, DiskFailed) as error:
        raise Fatal(str(error)) from None
    except ExceptionGroup as group:
        failed, others = group.split(DiskFailed)
        if failed is None or others is not None:
            raise
        raise Fatal(str(next(leaves(failed)))) from None


async def _send_all(config: GatewayConfig, queue: QueueSettings, path: Path, tell: Tell) -> None:
    folder = path.parent
    problems = Problems(path)
    key = problems.secret("seal.key", config.seal.key)
    problems.check()
    if key is None:
        raise AssertionError("unreachable: what cannot be read is a problem")
    signer, enrolments, metrics = load_private(key.reveal()), load_enrolments(folder / config.agents), Metrics()
    async with open_storage(folder / config.data, config.journal, metrics, forwards=True) as storage:
        parts = AgentsParts(
            installation=config.installation,
            journal=storage.journal,
            state=storage.state,
            enrolments=lambda: enrolments,
            signer=lambda: signer,
            metrics=metrics,
        )
        async with over_broker(queue.rabbitmq, folder, parts, storage.outgoing, deadline=timedelta()) as problems_now:
            while left := await storage.outgoing.left():
                tell(left, problems_now())
                await asyncio.sleep(_LOOK_S)
