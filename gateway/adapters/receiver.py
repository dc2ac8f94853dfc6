"""What runs in the process apart: deliveries in, what becomes of them out, until there are no more.

On standard input, for each delivery: the length of a description and of the body (eight bytes each), the
description, the body. On standard output, for each: the length of the outcome, the outcome. Both are pickled by, and
for, the gateway itself, whose child this is. It ends when its input ends, so also when the gateway is killed.
"""

import pickle
import struct
import sys
from datetime import datetime
from typing import Final

from bellpull.runtime.clock import utc_now
from bellpull.runtime.secret import Secret
from gateway.core.providers import PROVIDERS
from gateway.core.receive import Outcome, Rejected, Source, receive, refusal
from gateway.core.request import Headers, Request
from gateway.core.verified import Unverified

__all__ = ["LENGTH", "LENGTHS", "Described", "answer", "described", "refused"]

LENGTHS: Final = struct.Struct(">QQ")
LENGTH: Final = struct.Struct(">Q")

Described = tuple[tuple[tuple[bytes, bytes], ...], datetime, str, str, str, tuple[bytes, ...], tuple[str, ...]]
"""Headers, when it came, and the source: installation, name, provider, secrets, repositories."""


def described(request: Request, source: Source) -> bytes:
    """Return what is to be known of a delivery apart from its body."""
    value: Described = (
        request.headers.fields,
        request.received,
        source.installation,
        source.name,
        source.provider,
        tuple(secret.reveal() for secret in source.secrets),
        source.repositories,
    )
    return pickle.dumps(value)


def refused(request: Request, source: Source) -> Rejected | None:
    """Return the refusal of a delivery that nothing vouches for."""
    checked = PROVIDERS[source.provider].verify(request, source.secrets)
    return refusal(checked) if isinstance(checked, Unverified) else None


def answer(description: bytes, body: bytes, now: datetime) -> Outcome:
    """Return what becomes of a delivery."""
    fields, received, installation, name, provider, secrets, repositories = pickle.loads(description)  # noqa: S301
    source = Source(
        installation=installation,
        name=name,
        provider=provider,
        secrets=tuple(map(Secret, secrets)),
        repositories=repositories,
    )
    return receive(Request(headers=Headers(fields), body=body, received=received), source, now)


def _main() -> None:
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    while len(lengths := incoming.read(LENGTHS.size)) == LENGTHS.size:
        of_description, of_body = LENGTHS.unpack(lengths)
        description, body = incoming.read(of_description), incoming.read(of_body)
        if len(body) < of_body:
            return
        outcome = pickle.dumps(answer(description, body, utc_now()))
        outgoing.write(LENGTH.pack(len(outcome)) + outcome)
        outgoing.flush()


if __name__ == "__main__":
    _main()
