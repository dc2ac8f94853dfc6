"""What the tests of publishing share: a virtual host with the exchange for events, queues in it, and who listens."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from bellpull.contract.routing import EVENTS
from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from tests.parts.rabbitmq import PASSWORD, USER, Broker

__all__ = ["bind", "declare", "left_in", "login", "queue", "unbind"]


def login(broker: Broker, folder: Path, vhost: str = "/") -> RabbitMQSettings:
    """Return the settings of the broker's own user; writes its password into `folder`. Blocks."""
    (folder / "password").write_text(f"{PASSWORD}\n")
    return RabbitMQSettings(url=broker.url(vhost), username=USER, password=SecretRef(file=Path("password")))


def declare(broker: Broker, vhost: str = "/") -> None:
    """Make the exchange for events. Blocks."""
    broker.ask("PUT", f"exchanges/{quote(vhost, safe='')}/{EVENTS}", {"type": "topic", "durable": True})


def queue(broker: Broker, name: str, *keys: str, vhost: str = "/", **arguments: Any) -> None:
    """Make a quorum queue that is bound with `keys`; dashes in the names of arguments are underscores. Blocks."""
    where = quote(vhost, safe="")
    given = {"x-queue-type": "quorum"} | {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    broker.ask("PUT", f"queues/{where}/{name}", {"durable": True, "arguments": given})
    for key in keys:
        broker.ask("POST", f"bindings/{where}/e/{EVENTS}/q/{name}", {"routing_key": key})


def bind(broker: Broker, vhost: str, name: str, key: str) -> None:
    """Bind a queue that is there. Blocks."""
    broker.ask("POST", f"bindings/{vhost}/e/{EVENTS}/q/{name}", {"routing_key": key})


def unbind(broker: Broker, vhost: str, name: str, key: str) -> None:
    """Take a binding away. Blocks."""
    path = f"bindings/{vhost}/e/{EVENTS}/q/{name}"
    (there,) = (each for each in broker.ask("GET", path) if each["routing_key"] == key)
    broker.ask("DELETE", f"{path}/{quote(there['properties_key'], safe='')}")


def left_in(broker: Broker, name: str, vhost: str = "/", count: int = 10_000) -> list[dict[str, Any]]:
    """Take what is in a queue, oldest first. Blocks."""
    asked = {"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"}
    found: list[dict[str, Any]] = broker.ask("POST", f"queues/{quote(vhost, safe='')}/{name}/get", asked)
    return found
