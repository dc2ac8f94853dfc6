"""The demo's place in a RabbitMQ: a virtual host and users of its own, gone at the end with all that is in it.

Made as a user would, by `bellpull broker setup` and `bellpull enroll`; nothing else of the broker is touched.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any

from bellpull.cli.broker_access import Access
from bellpull.cli.demo.ending import to_its_end

__all__ = ["Place", "place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the demo is in the broker.

    Attributes:
        url: of the virtual host.
        vhost: its name.
        gateway: the gateway's user.
        agent: the agent's name, and its user's.
        options: of the commands that set something up there.
    """

    url: str
    vhost: str
    gateway: str
    agent: str
    options: Sequence[str]

    def settings(self, folder: Path) -> Mapping[str, Any]:
        """Return the gateway's `queue`, and write the password that it names, below `folder`."""
        password = folder / "secrets" / "broker-password"
        password.write_text(token_urlsafe(32))
        password.chmod(0o600)
        reference = {"file": "secrets/broker-password"}
        return {"rabbitmq": {"url": self.url, "username": self.gateway, "password": reference}}


@asynccontextmanager
async def place(url: str, access: Access) -> AsyncIterator[Place]:
    """Think of names that nobody has, and remove at the end what has them.

    Args:
        url: `amqp[s]://HOST[:PORT]`, without a virtual host.
        access: the way to the management API.

    Raises:
        FailureError: the API does not let us in, or what was made cannot be removed.
    """
    mark = token_hex(3)
    vhost = f"bellpull-demo-{mark}"
    made = Place(
        url=f"{url.rstrip('/')}/{vhost}",
        vhost=vhost,
        gateway=f"bellpull-demo-gateway-{mark}",
        agent=f"demo-{mark}",
        options=access.options(),
    )
    await asyncio.to_thread(_see, access)
    try:
        yield made
    finally:
        await to_its_end(asyncio.to_thread(_remove, access, made))


def _see(access: Access) -> None:
    with access.open() as management:
        management.things("/")


def _remove(access: Access, made: Place) -> None:
    from gateway.core.things import User

    with access.open() as management:
        for user in (made.gateway, made.agent):
            management.remove(User(name=user, tags=frozenset()), made.vhost)
        management.remove_vhost(made.vhost)
