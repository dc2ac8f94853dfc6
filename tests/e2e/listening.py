"""An agent's listener over RabbitMQ as a process that may be killed: it writes down what its inbox took.

Run: `python -m tests.e2e.listening FOLDER URL`; FOLDER has the pinned keys, the password and what is written.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent.adapters.rabbitmq import RabbitMQQueue
from agent.adapters.state import StateFolder
from agent.app.listener import Listener
from bellpull.contract.event import RefUpdated
from bellpull.contract.message import Message
from bellpull.runtime.config import SecretRef
from bellpull.runtime.jose import load_pinned
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from tests.gateway.examples import WEB

__all__ = ["HEARD", "KEYS", "PASSWORD", "UP"]

KEYS, PASSWORD, HEARD, UP = "keys.json", "password", "heard", "up"


async def _listen(folder: Path, url: str) -> None:
    heard = os.open(folder / HEARD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    keys = load_pinned((folder / KEYS).read_bytes())

    def take(message: Message, _: object) -> None:
        if isinstance(message.data, RefUpdated):
            os.write(heard, f"{message.id}\n".encode())

    settings = RabbitMQSettings(url=url, username=WEB, password=SecretRef(file=Path(PASSWORD)))
    await Listener(
        queue=RabbitMQQueue(settings, folder, WEB),
        state=StateFolder(folder / "state"),
        installation="acme",
        agent=WEB,
        keys=lambda: keys,
        take=take,
        resync=lambda _: None,
        connected=(folder / UP).touch,
        heard=lambda _: None,
        lost=lambda _: None,
    ).run()


if __name__ == "__main__":
    logging.disable()
    asyncio.run(_listen(Path(sys.argv[1]), sys.argv[2]))
