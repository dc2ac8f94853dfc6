"""The columns of events, read into values; what no program writes there is an `OddValueError` (see `reading`).

What is sent is the body, so the body is what counts: it has to be a message, and the columns by which it is routed
have to be what it says. It is decoded once, however many agents hear it.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from bellpull.contract.errors import ContractError
from bellpull.contract.message import Unknown, decode
from bellpull.contract.text import CommitId, MessageId
from gateway.adapters.append import about
from gateway.adapters.reading import OddValueError, text_of, time_of
from gateway.core.answer import Announcement
from gateway.core.sending import Row as Waiting
from gateway.ports.journal import Row

__all__ = ["ROW", "announcement", "event", "waiting"]

ROW: Final = "seq AS number, event_id, type, repository, ref, commit_id, source, accepted, body"
"""The columns that `event` takes."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_DECODED: Final = 2048
"""Bodies of some 1 KiB that are known to be messages: decoding one takes longer than sealing it, for each agent."""


def event(values: Any) -> Row:
    """Return a row of the columns `ROW`.

    Raises:
        OddValueError: a value is none that a program writes there.
        ContractError: the body is no message.
    """
    seq, event_id, type_, repository, ref, commit, source, accepted, body = values
    if not isinstance(body, bytes):
        raise OddValueError("body is no bytes")
    said = _said(body)
    if (event_id, type_, repository, ref, commit)[: len(said)] != said:
        raise OddValueError("event_id, type, repository, ref or commit_id is not what body says")
    return Row(
        seq=seq,
        event_id=event_id,
        type=type_,
        repository=text_of(repository, "repository"),
        ref=text_of(ref, "ref"),
        commit=commit,
        source=text_of(source, "source"),
        accepted=time_of(accepted, "accepted"),
        body=body,
    )


def announcement(values: Any) -> Announcement:
    """Return what was announced.

    Args:
        values: number (none for what another gateway accepted), id, repository, ref, commit, source, when it was
            accepted, and whether an earlier row has the same id.

    Raises:
        OddValueError: a value is none that a program writes there.
        ContractError: the same.
    """
    seq, event_id, repository, ref, commit, source, accepted, again = values
    return Announcement(
        seq=seq,
        event_id=text_of(event_id, "event_id", MessageId),
        repository=text_of(repository, "repository"),
        ref=text_of(ref, "ref"),
        commit=None if commit is None else text_of(commit, "commit_id", CommitId),
        source=text_of(source, "source"),
        accepted=time_of(accepted, "accepted"),
        again=bool(again),
    )


def waiting(number: int, values: Any) -> Waiting:
    """Return a row that waits for the broker: number, repository, ref, and when it was accepted.

    One that cannot be read holds up no other, as it is about nothing; it is found out when it is to be sent.
    """
    try:
        if values is None:
            raise OddValueError("a text is no UTF-8")  # noqa: TRY301 - as the others
        _, repository, ref, accepted = values
        return Waiting(
            seq=number,
            repository=text_of(repository, "repository"),
            ref=text_of(ref, "ref"),
            accepted=time_of(accepted, "accepted"),
        )
    except (OddValueError, ContractError):
        return Waiting(seq=number, repository="", ref="", accepted=_NEVER)


@lru_cache(maxsize=_DECODED)
def _said(body: bytes) -> tuple[str | None, ...]:
    """Return id and type, and what it is about where this version knows the type: repository key, ref, commit."""
    message = decode(body)
    if isinstance(message, Unknown):
        return message.id, message.type
    repository, ref, commit, _ = about(message.data)
    return message.id, message.type, repository, ref, commit
