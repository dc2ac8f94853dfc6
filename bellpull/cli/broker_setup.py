"""What `bellpull broker setup` does: it compares, shows, asks, makes, and looks again.

Passwords of new users are on disk before the users are there, each in a file that is its owner's only; one that is
there already is taken, so that a run that was cut short can be done again. They are never printed, and what goes to
RabbitMQ is their salted hash.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import typer

from bellpull.cli.broker import Access, agree
from bellpull.cli.failure import FailureError
from bellpull.cli.new_files import NewFile
from bellpull.cli.new_files import make as make_files
from bellpull.contract.text import Name
from bellpull.runtime.config import SecretError, SecretRef, read_secret
from bellpull.runtime.files import write_atomic
from gateway.adapters.management import REMOVAL
from gateway.app.config import load_config
from gateway.app.enrolment import load_enrolments
from gateway.core.definitions import ORDER, password_hash, to_definitions
from gateway.core.things import Binding, Permission, Thing, TopicPermission, User
from gateway.core.topology import owner_tag, topology
from gateway.core.topology_change import Difference, difference, strangers

__all__ = ["Plan", "make", "write_definitions"]

_FILE: Final = "broker-password"
_SALT_BYTES: Final = 4
_AT_ONCE: Final = 1000
"""Things that RabbitMQ is to make before it answers: it makes some 500 a second."""
_STDOUT: Final = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted.

    Attributes:
        vhost: where.
        tag: what the installation's users bear.
        things: all that has to be there.
        folders: where the password of each user is, or is to be.
        unread: what is wrong with records that were left out; nothing is removed then.
    """

    vhost: str
    tag: str
    things: frozenset[Thing]
    folders: dict[str, Path]
    unread: tuple[str, ...]

    @classmethod
    def of(cls, config: Path, *, vhost: str | None, gateway: str, out: Path) -> Self:
        """Read the gateway's configuration and the agents' records.

        Raises:
            ConfigError: the configuration cannot be used.
            FailureError: the gateways' user is an agent's.
        """
        settings = load_config(config)
        agents = config.parent / settings.agents
        enrolled = load_enrolments(agents)
        where = vhost or settings.installation
        rights = {name: record.repositories for name, record in enrolled.records.items()}
        try:
            things = topology(installation=settings.installation, vhost=where, gateway=gateway, agents=rights)
        except ValueError as error:
            raise FailureError(f"--gateway-user: {error}") from None
        missing = () if agents.is_dir() else (f"{agents}: is no folder",)
        return cls(
            vhost=where,
            tag=owner_tag(Name(settings.installation)),
            things=things,
            folders={gateway: config.parent / "secrets", **{name: out / name for name in rights}},
            unread=(*missing, *(f"{agents / problem.path}: {problem.problem}" for problem in enrolled.problems)),
        )


def write_definitions(plan: Plan, target: Path) -> None:
    """Write everything as definitions, for `rabbitmqctl import_definitions`."""
    import orjson

    _say(f"left out: {each}" for each in plan.unread)
    hashes = _hashes(plan, plan.things)
    written = orjson.dumps(to_definitions(plan.things, plan.vhost, hashes), option=orjson.OPT_INDENT_2) + b"\n"
    if target == _STDOUT:
        print(written.decode(), end="")
    else:
        write_atomic(target, written)
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
        change = _difference(plan, management.things(plan.vhost))
    _show(change, prune=prune)
    if not (change.add or change.change or (prune and change.remove)):
        _say([f"virtual host {plan.vhost}: everything is there already"])
        return
    agree(f"virtual host {plan.vhost}: go on?", ask=ask)
    made = _in_order(change.add | change.change, ORDER)
    hashes = _hashes(plan, change.add)
    with access.open() as management:
        for first in range(0, len(made), _AT_ONCE):
            management.make(to_definitions(made[first : first + _AT_ONCE], plan.vhost, hashes))
        for thing in _in_order(change.remove if prune else (), REMOVAL):
            management.remove(thing, plan.vhost)
        left = _difference(plan, management.things(plan.vhost))
    _check(left, prune=prune)
    gone = len(change.remove) if prune else 0
    _say([f"virtual host {plan.vhost}: {len(change.add)} made, {len(change.change)} changed, {gone} removed"])


def _difference(plan: Plan, there: frozenset[Thing]) -> Difference:
    """Return the difference, if nothing is in the way."""
    if others := strangers(there, plan.tag):
        raise FailureError(
            f"virtual host {plan.vhost} is another installation's ({', '.join(sorted(others))}); nothing was done",
            "each installation has one of its own: say which by --vhost",
        )
    change = difference(plan.things, there, plan.tag)
    if change.blocked:
        raise FailureError(
            *(_in_the_way(thing) for thing in _in_order(change.blocked, ORDER)),
            f"nothing was done in the virtual host {plan.vhost}",
        )
    return change


def _in_the_way(thing: Thing) -> str:
    if isinstance(thing, User):
        return f"user {thing.name}: is there, and not this installation's: remove it, or use another name"
    return f"{_shown(thing)}: is there with other arguments, which cannot be changed: delete it, and do this again"


def _check(left: Difference, *, prune: bool) -> None:
    lines = [f"{_shown(thing)}: was not made" for thing in _in_order(left.add | left.change, ORDER)]
    lines += [f"{_shown(thing)}: was not removed" for thing in _in_order(left.remove if prune else (), ORDER)]
    if lines:
        raise FailureError(*lines, "RabbitMQ said that all was done, and it is not: does somebody else change it?")


def _show(change: Difference, *, prune: bool) -> None:
    for what, things in (("add", change.add), ("change", change.change), ("remove", change.remove if prune else ())):
        for thing in _in_order(things, ORDER):
            print(f"{what:<7} {_shown(thing)}", flush=True)
    if change.remove and not prune:
        _say(f"not wanted any more: {_shown(thing)}" for thing in _in_order(change.remove, ORDER))
        _say(["--prune removes what is not wanted any more"])


def _shown(thing: Thing) -> str:
    kind = thing.section.replace("_", " ").removesuffix("s")
    match thing:
        case Binding():
            key = thing.routing_key or ", ".join(f"{name}={value}" for name, value in sorted(thing.arguments))
            return f"binding {thing.source} -> {thing.destination}: {key}"
        case Permission():
            return f"permission of {thing.user}: configure {thing.configure} write {thing.write} read {thing.read}"
        case TopicPermission():
            return f"topic permission of {thing.user} on {thing.exchange}: write {thing.write} read {thing.read}"
        case _:
            return f"{'policy' if kind == 'policie' else kind.replace('vhost', 'virtual host')} {thing.name}"


def _in_order(things: Iterable[Thing], order: tuple[type[Thing], ...]) -> list[Thing]:
    return sorted(things, key=lambda thing: (order.index(type(thing)), _shown(thing)))


def _hashes(plan: Plan, things: Iterable[Thing]) -> dict[str, str]:
    """Return the salted hash of the password of each user among `things`; those that have none yet get one."""
    users = sorted(thing.name for thing in things if isinstance(thing, User))
    return {
        user: password_hash(_password(user, plan.folders[user]), secrets.token_bytes(_SALT_BYTES)) for user in users
    }


def _password(user: str, folder: Path) -> bytes:
    path = folder / _FILE
    if not path.exists():
        make_files(folder, {_FILE: NewFile(secrets.token_urlsafe(32).encode() + b"\n")})
        _say([f"wrote {path}: the password of user {user}"])
    try:
        return read_secret(SecretRef(file=path.absolute()), folder).reveal()
    except SecretError as error:
        raise FailureError(f"the password of user {user}: {error}") from None


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
