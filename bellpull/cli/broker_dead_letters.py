"""What `bellpull broker dead-letters` shows: where each came from and why, and nothing of what it holds.

Whoever can publish may have made it: only what the broker itself says of it is shown, and its names as text.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import typer

from bellpull.cli.broker import agree
from bellpull.cli.broker_access import Access
from bellpull.contract.routing import DEAD_LETTERS

__all__ = ["show"]

_LONGEST = 200


def show(vhost: str, access: Access, *, count: int, purge: bool, ask: bool) -> None:
    """Print the oldest `count` dead letters; with `purge` delete all of them.

    Raises:
        FailureError: they cannot be had, or nobody agreed.
    """
    with access.open() as management:
        found = management.waiting(vhost, DEAD_LETTERS, count)
    for each in found:
        print(_line(each))
    more = max((int(each.get("message_count", 0)) for each in found[-1:]), default=0)
    typer.echo(f"{len(found)} shown, {more} more" if found else "there are no dead letters", err=True)
    if purge and found:
        agree(f"delete all {len(found) + more}?", ask=ask)
        with access.open() as management:
            management.purge(vhost, DEAD_LETTERS)
        typer.echo("deleted", err=True)


def _line(message: Mapping[str, Any]) -> str:
    properties = _mapping(message.get("properties"))
    headers = _mapping(properties.get("headers"))
    died = headers.get("x-death")
    death = _mapping(died[0]) if isinstance(died, list) and died else {}
    keys = death.get("routing-keys")
    words = (
        _time(death.get("time")),
        headers.get("x-first-death-reason"),
        headers.get("x-first-death-queue"),
        properties.get("message_id"),
        keys[0] if isinstance(keys, list) and keys else message.get("routing_key"),
        f"{message.get('payload_bytes')} bytes",
    )
    return "  ".join(_text(each) for each in words)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _time(value: object) -> str:
    """Return a time that RabbitMQ wrote in seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(str(value)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "-"


def _text(value: object) -> str:
    """Return one word that no terminal takes for anything else."""
    shown = "".join(each if each.isprintable() else "?" for each in str("-" if value is None else value))
    return shown[:_LONGEST] or "-"
