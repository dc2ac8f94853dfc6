"""Any Git server that can run a hook: a push in our own words, signed in one of two ways.

The body is one ref that moved, as Git's `post-receive` hook is told of it:

    {"repository": "https://git.example/acme/site.git", "ref": "refs/heads/main",
     "before": "<40 or 64 hex, zeros if new>", "after": "<the same, zeros if deleted>",
     "actor": "ada", "forced": false}

`actor` and `forced` may be missing. The secret says which signature is expected, so nothing is guessed from headers:

- `whsec_` and 24 to 64 bytes in base64: Standard Webhooks 1.0.0, HMAC-SHA256 over `id.timestamp.body` in
  `webhook-signature`, no older or newer than five minutes;
- any other: HMAC of the body in `X-Signature: sha256=HEX` or `sha512=HEX`. It has no time in it, so a delivery
  that was listened to can be sent again; that costs a fetch (P4).

What a Standard Webhooks library for Python takes for a time or for base64 is more than what a sender signs; here the
header's bytes are checked as they are.
"""

import binascii
import hmac
import re
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from bellpull.contract.event import Assurance
from bellpull.runtime.secret import Secret
from gateway.core.json_reader import PayloadError, get, get_or_none, parse_object
from gateway.core.providers.fields import commit_at, login_at, ref_at, repository_at
from gateway.core.providers.provider import Ignored, RefChange
from gateway.core.request import Headers, Request
from gateway.core.verified import Unverified, VerifiedBody, verified

__all__ = ["CONTENT_TYPES", "decode", "delivery_id", "event_name", "secret_problem", "verify"]

CONTENT_TYPES: Final = frozenset({"application/json"})
_STANDARD: Final = b"whsec_"
_KEY_BYTES: Final = range(24, 65)
_FRESH: Final = timedelta(minutes=5)
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,128}")
_SECONDS: Final = re.compile(rb"[0-9]{1,11}")
_PLAIN: Final = re.compile(rb"(sha256|sha512)=([0-9a-f]{64}|[0-9a-f]{128})")
_MANY: Final = 8
"""Signatures in one header: a sender that rotates has two."""


def secret_problem(secret: Secret) -> str | None:
    """Return what is wrong with a secret that is meant for Standard Webhooks and is none."""
    if not secret.reveal().startswith(_STANDARD) or _key(secret) is not None:
        return None
    return "begins with whsec_ and is not 24 to 64 bytes in base64 behind it"


def verify(request: Request, secrets: Sequence[Secret]) -> VerifiedBody | Unverified:
    """Check the signature that the secrets ask for; all are tried."""
    fits = False
    for secret in secrets:
        fits |= _fits(request, secret)
    if fits:
        return verified(request.body, Assurance.SIGNATURE)
    return Unverified(reason=_why_not(request, secrets))


def delivery_id(headers: Headers) -> str | None:
    """Return `webhook-id`, which stays the same when a delivery is sent again."""
    value = headers.one(b"webhook-id")
    return value.decode() if value is not None and _ID.fullmatch(value) else None


def event_name(headers: Headers) -> str:
    """Return `push`: there is nothing else."""
    del headers
    return "push"


def decode(body: VerifiedBody, headers: Headers) -> tuple[RefChange, ...] | Ignored:
    """Read a push; a ref that is neither branch nor tag is ignored."""
    del headers
    payload = parse_object(body.body)
    full_ref = get(payload, "ref", str)
    if not full_ref.startswith(("refs/heads/", "refs/tags/")):
        return Ignored(reason="the ref is neither a branch nor a tag")
    return (_change(payload, full_ref),)


def _change(payload: dict[str, Any], full_ref: str) -> RefChange:
    before, after = commit_at(payload, "before"), commit_at(payload, "after")
    if before is None and after is None:
        raise PayloadError("before and after are both zero")
    return RefChange(
        repository=repository_at(payload, "repository"),
        ref=ref_at("ref", full_ref),
        before=before,
        after=after,
        forced=get_or_none(payload, "forced", bool) or False,
        actor=login_at(payload, "actor"),
        pushed=None,
    )


def _fits(request: Request, secret: Secret) -> bool:
    if secret.reveal().startswith(_STANDARD):
        return _fits_standard(request, secret)
    return _fits_plain(request, secret)


def _fits_plain(request: Request, secret: Secret) -> bool:
    found = _PLAIN.fullmatch(request.headers.one(b"x-signature") or b"")
    if found is None:
        return False
    digest = hmac.new(secret.reveal(), request.body, found[1].decode()).hexdigest()
    return hmac.compare_digest(digest.encode(), found[2])


def _fits_standard(request: Request, secret: Secret) -> bool:
    key = _key(secret)
    signed = _signed(request)
    if key is None or signed is None:
        return False
    digest = hmac.digest(key, signed, "sha256")
    fits = False
    for signature in _signatures(request.headers):
        fits |= hmac.compare_digest(digest, signature)
    return fits


def _signed(request: Request) -> bytes | None:
    """Return what Standard Webhooks signs, if the delivery has an id and a time that is now."""
    identity, sent = request.headers.one(b"webhook-id"), request.headers.one(b"webhook-timestamp")
    if identity is None or sent is None or not _ID.fullmatch(identity) or not _is_fresh(sent, request.received):
        return None
    return b"%b.%b.%b" % (identity, sent, request.body)


def _is_fresh(sent: bytes, now: datetime) -> bool:
    return _SECONDS.fullmatch(sent) is not None and abs(int(sent) - now.timestamp()) <= _FRESH.total_seconds()


def _signatures(headers: Headers) -> list[bytes]:
    """Return the `v1` signatures; other versions are other algorithms, and none of ours."""
    parts = (headers.one(b"webhook-signature") or b"").split(b" ")[:_MANY]
    return [decoded for part in parts if part.startswith(b"v1,") and (decoded := _base64(part[3:])) is not None]


def _key(secret: Secret) -> bytes | None:
    key = _base64(secret.reveal().removeprefix(_STANDARD))
    return key if key is not None and len(key) in _KEY_BYTES else None


def _base64(text: bytes) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return None


def _why_not(request: Request, secrets: Sequence[Secret]) -> str:
    """Return, for the log, why no secret fits; it says nothing that the sender does not know."""
    headers = request.headers
    if all(secret.reveal().startswith(_STANDARD) for secret in secrets):
        sent = headers.one(b"webhook-timestamp")
        if not headers.all(b"webhook-signature"):
            return "no webhook-signature: this source's secret is one of Standard Webhooks"
        if sent is None or not _is_fresh(sent, request.received):
            return "webhook-timestamp is missing, or not within five minutes of this machine's clock"
    elif not headers.all(b"x-signature") and not headers.all(b"webhook-signature"):
        return "no signature: X-Signature is expected"
    return "the signature fits none of the source's secrets"
