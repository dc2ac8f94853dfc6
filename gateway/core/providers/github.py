"""GitHub and GitHub Enterprise Server.

Signed with HMAC-SHA256 over the raw body, also when the body is a form (`payload=...`, the default of GitHub's own
page). Of its events only `push` is used: `create` and `delete` repeat it with less in it. Headers other than the
signature are not covered by it: they say how the body is read and what the delivery is called, no more. A push of
an annotated tag has the tag object as `after`, and the commit that everybody else speaks of as `head_commit`.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from bellpull.contract.event import Assurance
from bellpull.contract.repository import RefKind, Repository
from bellpull.runtime.secret import Secret
from gateway.core.json_reader import PayloadError, get, get_or_none, parse_object
from gateway.core.providers.fields import commit_at, login_at, ref_at, repository_at
from gateway.core.providers.provider import Ignored, RefChange
from gateway.core.request import Headers, Request
from gateway.core.signature import fits_sha256
from gateway.core.verified import Unverified, VerifiedBody, verified

__all__ = ["CONTENT_TYPES", "decode", "delivery_id", "event_name", "secret_problem", "verify"]

_FORM: Final = "application/x-www-form-urlencoded"
CONTENT_TYPES: Final = frozenset({"application/json", _FORM})
_FIELD: Final = b"payload="
_PREFIX: Final = b"sha256="
_DELIVERY: Final = re.compile(rb"[A-Za-z0-9-]{1,64}")
_EVENT: Final = re.compile(rb"[a-z_]{1,64}")
_LAST_SECOND: Final = 253_402_300_799


def secret_problem(secret: Secret) -> str | None:
    """Return None: GitHub takes any text."""
    del secret
    return None


def verify(request: Request, secrets: Sequence[Secret]) -> VerifiedBody | Unverified:
    """Check `X-Hub-Signature-256`, which must be there once, over the raw body."""
    found = request.headers.all(b"x-hub-signature-256")
    if len(found) != 1:
        return Unverified(reason="no signature" if not found else "more than one signature")
    if not found[0].startswith(_PREFIX):
        return Unverified(reason="the signature is not sha256=...")
    if not fits_sha256(found[0].removeprefix(_PREFIX), request.body, secrets):
        return Unverified(reason="the signature fits none of the source's secrets")
    return verified(request.body, Assurance.SIGNATURE)


def delivery_id(headers: Headers) -> str | None:
    """Return `X-GitHub-Delivery`, which stays the same when a delivery is sent again."""
    value = headers.one(b"x-github-delivery")
    return value.decode() if value is not None and _DELIVERY.fullmatch(value) else None


def event_name(headers: Headers) -> str:
    """Return `X-GitHub-Event`."""
    value = headers.one(b"x-github-event")
    return value.decode() if value is not None and _EVENT.fullmatch(value) else "unknown"


def decode(body: VerifiedBody, headers: Headers) -> tuple[RefChange, ...] | Ignored:
    """Read a delivery; everything but a push to a branch or tag is ignored with a reason."""
    event = event_name(headers)
    if event != "push":
        return Ignored(reason="ping" if event == "ping" else f"the event {event} is not used")
    payload = parse_object(_json_of(body, headers))
    full_ref = get(payload, "ref", str)
    if not full_ref.startswith(("refs/heads/", "refs/tags/")):
        return Ignored(reason="the ref is neither a branch nor a tag")
    return (_change(payload, full_ref),)


def _json_of(body: VerifiedBody, headers: Headers) -> bytes:
    """Return the JSON in `body`, of which no other reading may be had by sending it again with another content type.

    So a form is read only if it begins as no JSON does, and is one field to its end.
    """
    content_type = (headers.one(b"content-type") or b"").partition(b";")[0].strip().lower()
    if content_type != _FORM.encode():
        return body.body
    if not body.body.startswith(_FIELD) or b"&" in body.body:
        raise PayloadError("the form is not exactly one field payload")
    try:
        fields = parse_qs(body.body.decode("ascii"), strict_parsing=True, max_num_fields=1, errors="strict")
    except ValueError:
        raise PayloadError("the body is not a form") from None
    return fields["payload"][0].encode() if fields else b""


def _change(payload: dict[str, Any], full_ref: str) -> RefChange:
    ref = ref_at("ref", full_ref)
    before, after = commit_at(payload, "before"), commit_at(payload, "after")
    if before is None and after is None:
        raise PayloadError("before and after are both zero")
    if ref.kind is RefKind.TAG and after is not None:
        after = commit_at(payload, "head_commit.id", default=after)
    return RefChange(
        repository=_repository(payload),
        ref=ref,
        before=before,
        after=after,
        forced=get_or_none(payload, "forced", bool) or False,
        actor=_actor(payload),
        pushed=_pushed(payload),
    )


def _repository(payload: dict[str, Any]) -> Repository:
    """Read the repository from `clone_url`; `full_name` alone does not say on which host it is."""
    found = repository_at(payload, "repository.clone_url")
    if get_or_none(payload, "repository.ssh_url", str) is None:
        return found
    other = repository_at(payload, "repository.ssh_url")
    return Repository(host=found.host, path=found.path, clone_urls=(*found.clone_urls, *other.clone_urls))


def _actor(payload: dict[str, Any]) -> str | None:
    """Return who pushed; `pusher` has an address beside the name."""
    return login_at(payload, "sender.login") or login_at(payload, "pusher.name")


def _pushed(payload: dict[str, Any]) -> datetime | None:
    """Return `repository.pushed_at`: whole seconds in a push, text in other events."""
    repository = get(payload, "repository", dict)
    value = repository.get("pushed_at")
    if type(value) is not int or not 0 < value <= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(value, UTC)
