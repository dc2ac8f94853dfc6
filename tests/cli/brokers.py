"""The way to a real RabbitMQ, as those know it who set up, and those who log in."""

import asyncio
from pathlib import Path

import pytest

from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.connect import BrokerError, connect
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from tests.parts.rabbitmq import PASSWORD, USER, Broker

__all__ = ["access", "forget", "knows"]


def access(broker: Broker, vhost: str) -> dict[str, str]:
    """Return the environment in which the command sets up a virtual host."""
    return {
        "BELLPULL_BROKER_MANAGEMENT": broker.management,
        "BELLPULL_BROKER_USERNAME": USER,
        "BELLPULL_BROKER_PASSWORD": PASSWORD,
        "BELLPULL_BROKER_VHOST": vhost,
    }


def knows(broker: Broker, vhost: str, user: str, password: str) -> bool:
    """Whether RabbitMQ lets the user in with this password."""

    async def enter() -> bool:
        settings = RabbitMQSettings(url=broker.url(vhost), username=user, password=SecretRef(env="PASSWORD"))
        try:
            async with connect(settings, Path(), "test"):
                return True
        except BrokerError:
            return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PASSWORD", password)
        return asyncio.run(enter())


def forget(broker: Broker, vhost: str) -> None:
    """Remove a virtual host, and all users of an installation `bellpull`."""
    for user in broker.ask("GET", "users"):
        if user["tags"] == ["bellpull.bellpull"]:
            broker.ask("DELETE", f"users/{user['name']}")
    if vhost in {each["name"] for each in broker.ask("GET", "vhosts")}:
        broker.ask("DELETE", f"vhosts/{vhost}")
