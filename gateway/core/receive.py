"""What becomes of a delivery: `refuse_head` before its body is read, `receive` after. Both raise for no input.

The order is the design's: method, content type and encoding, then (in the shell, while reading) the size, then the
signature over the raw bytes, and only then what is in it. An authentic delivery that nobody needs is `Ignored`, a
2xx: providers switch off hooks that keep failing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from bellpull.contract.errors import ContractError
from bellpull.contract.event import Assurance, Delivery, EventHops, RefUpdated
from bellpull.contract.ids import body_digest, event_id
from bellpull.contract.message import Message
from bellpull.contract.patterns import matches
from bellpull.contract.text import Name
from bellpull.runtime.secret import Secret
from gateway.core.json_reader import PayloadError
from gateway.core.providers import PROVIDERS
from gateway.core.providers.provider import Ignored, RefChange
from gateway.core.request import Headers, Request
from gateway.core.verified import Unverified

__all__ = ["Accepted", "Ignored", "Outcome", "Rejected", "Source", "receive", "refusal", "refuse_head"]

_CHARSET: Final = re.compile(rb'charset=(?:utf-8|"utf-8")', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One webhook, as configured, with its secrets as of now."""

    installation: Name
    name: Name
    provider: Name
    secrets: tuple[Secret, ...]
    repositories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Events to be written down, all or none; `delivery` and `digest` are what twins are known by."""

    messages: tuple[Message, ...]
    delivery: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Refused with an HTTP status. `reason` is for the log; `told`, which may be shown, never depends on secrets."""

    status: int
    reason: str
    told: str


Outcome = Accepted | Ignored | Rejected


def refuse_head(method: str, headers: Headers, provider: str) -> Rejected | None:
    """Decide by what comes before the body; None means: read it."""
    if method != "POST":
        return _rejected(405, "only POST is taken here")
    encodings = headers.all(b"content-encoding")
    if any(value.strip().lower() != b"identity" for value in encodings):
        return _rejected(415, "a content encoding is not taken")
    if not _is_content_type(headers, PROVIDERS[provider].CONTENT_TYPES):
        return _rejected(415, f"the content type is none of {', '.join(sorted(PROVIDERS[provider].CONTENT_TYPES))}")
    return None


def receive(request: Request, source: Source, now: datetime) -> Outcome:
    """Verify, decode and judge one delivery to `source`; `now` is when it is about to be written down."""
    provider = PROVIDERS[source.provider]
    checked = provider.verify(request, source.secrets)
    if isinstance(checked, Unverified):
        return refusal(checked)
    try:
        decoded = provider.decode(checked, request.headers)
    except PayloadError as error:
        return _rejected(400, str(error))
    match decoded:
        case Ignored():
            return decoded
        case tuple():
            return _accept(decoded, checked.assurance, request, source, now)
        case _:
            assert_never(decoded)


def refusal(unverified: Unverified) -> Rejected:
    """Return the answer to what nothing vouches for; what it says is the same whatever was wrong."""
    return Rejected(status=401, reason=unverified.reason, told="the signature was not accepted")


def _accept(
    changes: Sequence[RefChange], assurance: Assurance, request: Request, source: Source, now: datetime
) -> Accepted | Ignored | Rejected:
    digest = body_digest(request.body)
    delivery = PROVIDERS[source.provider].delivery_id(request.headers) or digest
    wanted = [change for change in changes if matches(source.repositories, change.repository.key)]
    if not wanted:
        keys = ", ".join(sorted({change.repository.key for change in changes}))
        return Ignored(reason=f"the repository {keys} is not in this source's list")
    by = Delivery(provider=source.provider, source=source.name, id=delivery, assurance=assurance)
    try:
        messages = tuple(_message(change, by, source, request.received, now) for change in wanted)
    except ContractError as error:
        return _rejected(400, str(error))
    return Accepted(messages=messages, delivery=delivery, digest=digest)


def _message(change: RefChange, by: Delivery, source: Source, received: datetime, now: datetime) -> Message:
    return Message(
        id=event_id(source.name, by.id, change.ref.full),
        source=f"//{source.installation}/sources/{source.name}",
        time=now,
        data=RefUpdated(
            repository=change.repository,
            ref=change.ref,
            before=change.before,
            after=change.after,
            created=change.before is None,
            deleted=change.after is None,
            forced=change.forced,
            actor=change.actor,
            delivery=by,
            hops=EventHops(received=received, accepted=now, pushed=change.pushed),
        ),
    )


def _is_content_type(headers: Headers, allowed: frozenset[str]) -> bool:
    value = headers.one(b"content-type")
    if value is None:
        return False
    media_type, _, parameters = value.partition(b";")
    known = media_type.strip().lower().decode("latin-1") in allowed
    return known and (not parameters.strip() or _CHARSET.fullmatch(parameters.strip()) is not None)


def _rejected(status: int, reason: str) -> Rejected:
    return Rejected(status=status, reason=reason, told=reason)
