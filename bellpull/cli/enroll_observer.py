"""`bellpull enroll --observer`: admits other software, which hears what happens to chosen repositories over RabbitMQ.

Its record is in a folder of its own, so that nothing takes it for an agent. What it gets is no program's of ours and
therefore plain: a JSON file with where and as whom, the password, and the public keys that seals are checked with.
"""

import json
from pathlib import Path
from typing import Any, Final

import typer

from bellpull.cli.broker_access import Access
from bellpull.cli.broker_user import PASSWORD_FILE, BrokerUser
from bellpull.cli.failure import FailureError
from bellpull.cli.new_files import OPEN, NewFile, make
from bellpull.cli.records import check_record, pattern_of, sealing_key, write_record
from bellpull.contract.routing import observer_queue
from bellpull.contract.text import Name
from bellpull.runtime import jose
from gateway.app.config import GatewayConfig
from gateway.app.observers import Observer
from gateway.core.observing import Interest, Kind, of_observer
from gateway.core.topology import owner_tag

__all__ = ["enroll_observer"]

_KEYS_FILE: Final = "gateway-keys.json"


def enroll_observer(  # noqa: PLR0917  # what the verb was told
    name: str,
    repositories: list[str],
    kinds: list[str],
    settings: GatewayConfig,
    config: Path,
    access: Access,
    out: Path | None,
) -> None:
    """Make an observer's record, folder, user and queue, and print its configuration.

    Raises:
        FailureError: it cannot be; nothing was written.
    """
    path = config.parent / settings.observers / f"{name}.yaml"
    _see_that_it_is_new(name, path, config.parent / settings.agents)
    record = {"observer": name, "repositories": [*map(pattern_of, repositories)], "types": kinds or [*map(str, Kind)]}
    check_record(Observer, record)
    user = _user(Name(name), Observer.model_validate(record).interest, settings, config, access)
    keys = jose.public_set([jose.public_jwk(sealing_key(settings, config).public)])
    configuration = json.dumps(_configuration(user, settings), indent=2) + "\n"
    folder = out or Path(name)
    user.look()
    make(
        folder,
        {
            "observer.json": NewFile(configuration.encode(), OPEN),
            _KEYS_FILE: NewFile(keys, OPEN),
            ".gitignore": NewFile(f"/{PASSWORD_FILE}\n".encode(), OPEN),
            **user.files(),
        },
    )
    made = user.make(folder)
    write_record(path, record)
    print(configuration, end="")
    for line in (made, f"wrote {path}", f"wrote {folder}: bring it to who listens; it holds the password"):
        typer.echo(line, err=True)


def _see_that_it_is_new(name: str, record: Path, agents: Path) -> None:
    if record.exists():
        raise FailureError(
            f"{record}: an observer of this name is enrolled already; nothing was written",
            "to take its rights away, and enroll it anew, remove that file",
        )
    if (agents / record.name).exists():
        raise FailureError(f"{agents / record.name}: {name} is an agent's name; nothing was written")


def _user(name: Name, interest: Interest, settings: GatewayConfig, config: Path, access: Access) -> BrokerUser:
    if settings.queue is None:
        raise FailureError(
            f"{config}: observers hear over RabbitMQ only, and there is no queue.rabbitmq; nothing was written"
        )
    if name == settings.queue.rabbitmq.username:
        raise FailureError(f"{name} is the gateways' own user in RabbitMQ; nothing was written")
    tag = owner_tag(settings.installation)
    return BrokerUser(
        name=name,
        settings=settings.queue.rabbitmq,
        folder=config.parent,
        tag=tag,
        own=of_observer(name, interest, tag),
        access=access,
    )


def _configuration(user: BrokerUser, settings: GatewayConfig) -> dict[str, Any]:
    return {
        "installation": settings.installation,
        **user.address(),
        "queue": observer_queue(user.name),
        "keys": _KEYS_FILE,
    }
