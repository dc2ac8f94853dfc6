"""What a RabbitMQ lacks, in words for a person; and what is in the way, as an error."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from bellpull.cli.failure import FailureError
from bellpull.runtime.files import write_atomic
from gateway.core.definitions import ORDER, to_definitions
from gateway.core.things import Binding, Permission, Thing, TopicPermission, User
from gateway.core.topology_change import Difference, difference, strangers

__all__ = ["STDOUT", "check_made", "difference_from", "in_order", "shown", "write_definitions_of"]

STDOUT: Final = Path("-")


def difference_from(there: frozenset[Thing], wanted: frozenset[Thing], vhost: str, tag: str) -> Difference:
    """Return what leads from what is there to what is wanted, if nothing is in the way.

    Raises:
        FailureError: the virtual host is another installation's, or something is there that cannot be changed.
    """
    if others := strangers(there, tag):
        raise FailureError(
            f"virtual host {vhost} is another installation's ({', '.join(sorted(others))}); nothing was done",
            "each installation has one of its own: say which by --vhost, or in queue.rabbitmq.url",
        )
    change = difference(wanted, there, tag)
    if change.blocked:
        raise FailureError(
            *(_in_the_way(thing) for thing in in_order(change.blocked)),
            f"nothing was done in the virtual host {vhost}",
        )
    return change


def check_made(missing: Iterable[Thing], unremoved: Iterable[Thing] = ()) -> None:
    """See that nothing is left to do.

    Raises:
        FailureError: something is.
    """
    lines = [f"{shown(thing)}: was not made" for thing in in_order(missing)]
    lines += [f"{shown(thing)}: was not removed" for thing in in_order(unremoved)]
    if lines:
        raise FailureError(*lines, "RabbitMQ said that all was done, and it is not: does somebody else change it?")


def write_definitions_of(things: Iterable[Thing], vhost: str, hashes: Mapping[str, str], target: Path) -> None:
    """Write things as definitions, for `rabbitmqctl import_definitions`, to a file of its owner's only, or to `-`."""
    import orjson

    written = orjson.dumps(to_definitions(things, vhost, hashes), option=orjson.OPT_INDENT_2) + b"\n"
    if target == STDOUT:
        print(written.decode(), end="")
    else:
        write_atomic(target, written)


def in_order(things: Iterable[Thing], order: tuple[type[Thing], ...] = ORDER) -> list[Thing]:
    """Return things in the order of their kinds, and then of their names."""
    return sorted(things, key=lambda thing: (order.index(type(thing)), shown(thing)))


def shown(thing: Thing) -> str:
    """Return the line for a thing."""
    kind = thing.section.replace("_", " ").removesuffix("s")
    match thing:
        case Binding():
            key = thing.routing_key or ", ".join(f"{name}={value}" for name, value in sorted(thing.arguments))
            return f"binding {thing.source} -> {thing.destination}: {key}"
        case Permission():
            return f"permission of {thing.user}: configure {thing.configure} write {thing.write} read {thing.read}"
        case TopicPermission():
            return f"topic permission of {thing.user} on {thing.exchange}: write {thing.write} read {thing.read}"
        case User(limits=limits) if limits:
            return f"user {thing.name} ({', '.join(f'{name} {value}' for name, value in sorted(limits))})"
        case _:
            return f"{'policy' if kind == 'policie' else kind.replace('vhost', 'virtual host')} {thing.name}"


def _in_the_way(thing: Thing) -> str:
    if isinstance(thing, User):
        return f"user {thing.name}: is there, and not this installation's: remove it, or use another name"
    return f"{shown(thing)}: is there with other arguments, which cannot be changed: delete it, and do this again"
