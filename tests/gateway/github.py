"""GitHub's deliveries, as the tests send them."""

import hmac
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import orjson

from bellpull.contract.text import Name
from bellpull.runtime.secret import Secret
from gateway.core.receive import Source
from gateway.core.request import Headers, Request

SECRET = b"It's a Secret to Everybody"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ZERO = "0" * 40
A, B, TAG_OBJECT = "a" * 40, "b" * 40, "c" * 40

SOURCE = Source(
    installation=Name("acme"),
    name=Name("github"),
    provider=Name("github"),
    secrets=(Secret(SECRET),),
    repositories=("github.com/acme/*",),
)

_PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "before": A,
    "after": B,
    "created": False,
    "deleted": False,
    "forced": False,
    "base_ref": None,
    "compare": "https://github.com/acme/site/compare/aaaaaaaaaaaa...bbbbbbbbbbbb",
    "commits": [
        {
            "id": B,
            "message": "Say hello",
            "author": {"name": "Ada", "email": "ada@example.org", "username": "ada"},
            "added": [],
            "removed": [],
            "modified": ["index.html"],
        }
    ],
    "head_commit": {"id": B, "message": "Say hello"},
    "repository": {
        "id": 1,
        "full_name": "acme/site",
        "private": True,
        "html_url": "https://github.com/acme/site",
        "clone_url": "https://github.com/acme/site.git",
        "ssh_url": "git@github.com:acme/site.git",
        "default_branch": "main",
        "pushed_at": 1_772_366_400,
    },
    "pusher": {"name": "ada", "email": "ada@example.org"},
    "sender": {"login": "ada", "id": 2, "type": "User"},
}


def payload(**changes: Any) -> dict[str, Any]:
    """Return a push's payload, with these top-level fields changed."""
    return deepcopy(_PUSH) | changes


def signature(body: bytes, secret: bytes = SECRET) -> bytes:
    return b"sha256=" + hmac.new(secret, body, sha256).hexdigest().encode()


def headers(
    body: bytes, *, event: str = "push", secret: bytes = SECRET, content_type: str = "application/json"
) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"Content-Type", content_type.encode()),
        (b"User-Agent", b"GitHub-Hookshot/044aadd"),
        (b"X-GitHub-Delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        (b"X-GitHub-Event", event.encode()),
        (b"X-Hub-Signature-256", signature(body, secret)),
    )


def request(value: Any, *, event: str = "push", form: bool = False) -> Request:
    """Return the signed delivery of `value`, as GitHub sends it."""
    body = orjson.dumps(value)
    if form:
        body = urlencode({"payload": body.decode()}).encode()
    content_type = "application/x-www-form-urlencoded" if form else "application/json"
    return Request(headers=Headers(headers(body, event=event, content_type=content_type)), body=body, received=NOW)
