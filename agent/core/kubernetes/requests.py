"""Requests to an API server, as values: made by what decides, sent by whoever has a connection.

Nothing here reads or waits. The time a request may take and whether it may be sent again are part of it, since only
who makes it knows: a server-side apply may be repeated, a create may not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from agent.core.kubernetes.object import Object

__all__ = ["Accept", "Answer", "Content", "Method", "Request"]


class Method(StrEnum):
    """The methods in use."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class Content(StrEnum):
    """What a body is."""

    JSON = "application/json"
    APPLY = "application/apply-patch+yaml"
    """Server-side apply; JSON is YAML."""
    JSON_PATCH = "application/json-patch+json"
    MERGE_PATCH = "application/merge-patch+json"


class Accept(StrEnum):
    """In which form an answer is wanted."""

    OBJECT = "application/json"
    METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    """One object without spec and status."""
    METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    """Everything below `/api` or `/apis` in one answer, from Kubernetes 1.30 on."""


_TIMEOUT_S: Final = 40.0
"""An API server gives up on a write after 34 s by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        method: how.
        path: from the root, quoted.
        query: its parameters, not yet quoted.
        body: JSON.
        content: what the body is.
        accept: what the answer is wanted as.
        user: whom to impersonate, such as `system:serviceaccount:shop:deployer`.
        repeatable: whether sending it again after a lost answer does no harm.
        timeout_s: until it is given up, answer and all.
        headers: further ones.
    """

    method: Method
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | list[Object] | None = None
    content: Content = Content.JSON
    accept: Accept = Accept.OBJECT
    user: str | None = None
    repeatable: bool = True
    timeout_s: float = _TIMEOUT_S
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an API server answered, whatever it was.

    Attributes:
        status: the HTTP status.
        body: the JSON object; for an answer that is none, `{"message": TEXT}`.
        warnings: texts of the `Warning` headers, for people.
        retry_after_s: how long it asks to wait.
        etag: as it stands there.
    """

    status: int
    body: Object
    warnings: tuple[str, ...] = ()
    retry_after_s: float | None = None
    etag: str | None = None
