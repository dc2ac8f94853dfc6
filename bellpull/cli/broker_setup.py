"""What `bellpull broker setup` does: it compares, shows, asks, makes, and looks again.

Passwords of new users are on disk before the users are there, each in a file that is its owner's only; one that is
there already is taken, so that a run that was cut short can be done again. They are never printed, and what goes to
RabbitMQ is their salted hash.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import typer

from bellpull.cli.broker import agree, vhost_of
from bellpull.cli.broker_access import Access
from bellpull.cli.broker_difference import (
    STDOUT,
    check_made,
    difference_from,
    in_order,
    shown,
    write_definitions_of,
)
from bellpull.cli.broker_user import PASSWORD_FILE, new_password, salted
from bellpull.cli.failure import FailureError
from bellpull.cli.new_files import NewFile
from bellpull.cli.new_files import make as make_files
from bellpull.contract.text import Name
from bellpull.runtime.config import Problem, SecretError, SecretRef, read_secret
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.adapters.management import REMOVAL
from gateway.app.config import load_config
from gateway.app.enrolment import load_enrolments
from gateway.app.observers import load_observers
from gateway.core.definitions import to_definitions
from gateway.core.things import Thing, User
from gateway.core.topology import owner_tag, topology
from gateway.core.topology_change import Difference

__all__ = ["Plan", "make", "write_definitions"]

_GATEWAY: Final = "bellpull_gateway"
_AT_ONCE: Final = 1000
"""Things that RabbitMQ is to make before it answers: it makes some 500 a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted.

    Attributes:
        vhost: where.
        tag: what the installation's users bear.
        things: all that has to be there.
        passwords: where each user's is, or is to be; none for who has a certificate instead.
        unread: what is wrong with records that were left out; nothing is removed then.
    """

    vhost: str
    tag: str
    things: frozenset[Thing]
    passwords: Mapping[str, SecretRef | None]
    unread: tuple[str, ...]

    @classmethod
    def of(cls, config: Path, *, vhost: str | None, gateway: str | None, out: Path) -> Self:
        """Read the gateway's configuration and the agents' records.

        Raises:
            ConfigError: the configuration cannot be used.
            FailureError: two are of one name.
        """
        settings = load_config(config)
        agents, observers = config.parent / settings.agents, config.parent / settings.observers
        enrolled, observing = load_enrolments(agents), load_observers(observers)
        queue = settings.queue.rabbitmq if settings.queue else None
        where = vhost or vhost_of(settings)
        user = gateway or (queue.username if queue else _GATEWAY)
        rights = {name: record.repositories for name, record in enrolled.records.items()}
        try:
            things = topology(
                installation=settings.installation,
                vhost=where,
                gateway=user,
                agents=rights,
                observers={name: record.interest for name, record in observing.records.items()},
            )
        except ValueError as error:
            raise FailureError(str(error)) from None
        missing = () if agents.is_dir() else (f"{agents}: is no folder",)
        return cls(
            vhost=where,
            tag=owner_tag(Name(settings.installation)),
            things=things,
            passwords={
                user: _found_from(config.parent, queue),
                **{name: SecretRef(file=out / name / PASSWORD_FILE) for name in (*rights, *observing.records)},
            },
            unread=(*missing, *_lines(agents, enrolled.problems), *_lines(observers, observing.problems)),
        )


def write_definitions(plan: Plan, target: Path) -> None:
    """Write everything as definitions, for `rabbitmqctl import_definitions`."""
    _say(f"left out: {each}" for each in plan.unread)
    write_definitions_of(plan.things, plan.vhost, _hashes(plan, plan.things), target)
    if target != STDOUT:
        _say([f"wrote {target}: bring it to the broker, and there: rabbitmqctl import_definitions {target.name}"])


def make(plan: Plan, access: Access, *, prune: bool, ask: bool) -> None:
    """Show what is missing, ask, make it, and see that it is there.

    Raises:
        FailureError: something is in the way, was not made, or nobody agreed.
    """
    if prune and plan.unread:
        raise FailureError(*plan.unread, "nothing was done: --prune would remove agents whose records cannot be read")
    _say(f"left out: {each}" for each in plan.unread)
    with access.open() as management:
        change = difference_from(management.things(plan.vhost), plan.things, plan.vhost, plan.tag)
    _show(change, prune=prune)
    if not (change.add or change.change or (prune and change.remove)):
        _say([f"virtual host {plan.vhost}: everything is there already"])
        return
    agree(f"virtual host {plan.vhost}: go on?", ask=ask)
    limited = [thing for thing in change.change if isinstance(thing, User)]
    made = in_order((change.add | change.change).difference(limited))
    hashes = _hashes(plan, change.add)
    with access.open() as management:
        for first in range(0, len(made), _AT_ONCE):
            management.make(to_definitions(made[first : first + _AT_ONCE], plan.vhost, hashes))
        for user in limited:
            management.limit(user)
        for thing in in_order(change.remove if prune else (), REMOVAL):
            management.remove(thing, plan.vhost)
        left = difference_from(management.things(plan.vhost), plan.things, plan.vhost, plan.tag)
    check_made(left.add | left.change, left.remove if prune else ())
    gone = len(change.remove) if prune else 0
    _say([f"virtual host {plan.vhost}: {len(change.add)} made, {len(change.change)} changed, {gone} removed"])


def _show(change: Difference, *, prune: bool) -> None:
    for what, things in (("add", change.add), ("change", change.change), ("remove", change.remove if prune else ())):
        for thing in in_order(things):
            print(f"{what:<7} {shown(thing)}", flush=True)
    if change.remove and not prune:
        _say(f"not wanted any more: {shown(thing)}" for thing in in_order(change.remove))
        _say(["--prune removes what is not wanted any more"])


def _lines(folder: Path, problems: Iterable[Problem]) -> Iterator[str]:
    return (f"{folder / problem.path}: {problem.problem}" for problem in problems)


def _found_from(folder: Path, queue: RabbitMQSettings | None) -> SecretRef | None:
    """Return where the gateways' password is, as found from here rather than from the configuration's folder."""
    if queue is None:
        return SecretRef(file=folder / "secrets" / PASSWORD_FILE)
    ref = queue.password
    return ref if ref is None or ref.file is None else SecretRef(file=folder / ref.file)


def _hashes(plan: Plan, things: Iterable[Thing]) -> dict[str, str]:
    """Return the salted hash of the password of each user among `things`; those that have none yet get one."""
    users = sorted(thing.name for thing in things if isinstance(thing, User))
    return {user: _hash(plan, user) for user in users}


def _hash(plan: Plan, user: str) -> str:
    """Return the salted hash of a user's password; an empty one lets nobody in by a password."""
    ref = plan.passwords[user]
    if ref is None:
        return ""
    if ref.file is not None and not ref.file.exists():
        make_files(ref.file.parent, {ref.file.name: NewFile(new_password() + b"\n")})
        _say([f"wrote {ref.file}: the password of user {user}"])
    try:
        return salted(read_secret(ref, Path()).reveal())
    except SecretError as error:
        raise FailureError(f"the password of user {user}: {error}") from None


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
