"""What an API server's refusal means, and what to do about it.

A status alone says little: 403 is RBAC's, a quota's, a webhook's or a namespace's that is going; 409 has four causes;
and what does not fit a schema is a 500. The texts this reads are the API server's own, of 1.30 and later.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Answer

__all__ = ["Cause", "Refusal", "RefusalKind", "refusal"]

_OK: Final = range(200, 300)
_MAX_MESSAGE: Final = 700
_UID: Final = "metadata.uid"


class RefusalKind(StrEnum):
    """Why an API server refused."""

    CONFLICT = "conflict"
    """Another field manager owns fields, and force was not used."""
    EXISTS = "exists"
    """A create found the name taken."""
    MOVED = "moved"
    """It is another object than was meant, or was written meanwhile: look again."""
    IMMUTABLE = "immutable"
    """A field may not change; only a new object can have it."""
    INVALID = "invalid"
    """Values that the API server does not admit."""
    UNKNOWN_FIELD = "unknown-field"
    """It does not fit the kind's schema."""
    OUTDATED = "outdated"
    """What somebody wrote at an older version of the kind cannot be compared with what is applied at this one."""
    DENIED = "denied"
    """A webhook or a policy said no."""
    QUOTA = "quota"
    """More than the namespace may have."""
    FORBIDDEN = "forbidden"
    """The user lacks a right."""
    NO_NAMESPACE = "no-namespace"
    """The namespace is not there."""
    NO_KIND = "no-kind"
    """The API server serves no such kind."""
    NOT_FOUND = "not-found"
    """There is no such object."""
    TERMINATING = "terminating"
    """What it would be made in is going away."""
    TOO_LARGE = "too-large"
    """It is larger than an API server takes."""
    UNAUTHORIZED = "unauthorized"
    """The credential is not, or no longer, valid."""
    WEBHOOK_DOWN = "webhook-down"
    """A webhook that has to be asked does not answer."""
    BUSY = "busy"
    """The server asks to come again later."""
    BROKEN = "broken"
    """The server is in trouble."""
    BAD = "bad"
    """Anything else; the same request will be refused again."""


_PASSING: Final = frozenset(
    {
        RefusalKind.MOVED,
        RefusalKind.UNAUTHORIZED,
        RefusalKind.WEBHOOK_DOWN,
        RefusalKind.BUSY,
        RefusalKind.BROKEN,
        RefusalKind.TERMINATING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One of the causes of a refusal, as the server names them.

    Attributes:
        reason: such as `FieldManagerConflict` or `FieldValueInvalid`.
        field: a path such as `.spec.replicas` or `spec.template`.
        message: the server's words; it may quote a value.
    """

    reason: str
    field: str
    message: str

    @property
    def manager(self) -> str | None:
        """Whom a conflict is with; none for other causes."""
        found = re.match(r'conflict with "((?:[^"\\]|\\.)*)"', self.message)
        return found[1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refusal, understood.

    Attributes:
        kind: why.
        status: the HTTP status.
        message: the server's words, shortened; they may quote a value.
        causes: as far as it names them.
    """

    kind: RefusalKind
    status: int
    message: str
    causes: tuple[Cause, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the same request may be taken later, with nothing changed by a person."""
        return self.kind in _PASSING

    @property
    def is_another(self) -> bool:
        """Whether the object is another than was meant: it was made anew."""
        return any(cause.field == _UID for cause in self.causes)

    def advice(self) -> str:
        """Return the message, and what to do, in a sentence or two."""
        return f"{self.message}{_advice(self)}"


def refusal(answer: Answer) -> Refusal | None:
    """Return what an answer refuses, None where it does not."""
    if answer.status in _OK:
        return None
    body = answer.body
    message = _text(body, "message") or f"the API server answered {answer.status}"
    causes = tuple(_causes(body))
    kind = next(kind for kind, holds in _TABLE if holds(answer.status, str(body.get("reason", "")), message, causes))
    return Refusal(kind=kind, status=answer.status, message=_short(message), causes=causes)


def _causes(body: Object) -> list[Cause]:
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [
        Cause(reason=_text(each, "reason"), field=_text(each, "field"), message=_text(each, "message"))
        for each in (causes if isinstance(causes, list) else [])
        if isinstance(each, dict)
    ]


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _short(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}..."


_DENIED: Final = re.compile(
    r"admission webhook \"[^\"]*\" denied|ValidatingAdmissionPolicy '[^']*'|denied the request"
)
_IMMUTABLE: Final = re.compile(
    r"field is immutable|is immutable|immutable field|immutable after creation|may not change once set"
    r"|cannot change roleRef|updates may not change fields other than"
    r"|updates to [\w ]+ (?:spec )?for fields other than|updates to [\w. ]+ are forbidden"
)
_TYPED: Final = re.compile(r"failed to create typed (?:patch|live) object|failed to convert new object \(")
_OLDER: Final = re.compile(
    r"request to convert CR to an invalid group/version|failed to (?:convert new object|prune fields): "
    r"|field not declared in schema"
)
"""An entry of managedFields is at a version whose schema lacks a field, or that is gone (research: v1 to v2)."""
_UNDECLARED: Final = re.compile(r"(\.[^\n]*?): field not declared in schema")

_LACKS: Final = re.compile(r'User "[^"]*" cannot |user "[^"]*" \(groups=.*\) is attempting to grant', re.DOTALL)
"""RBAC's words; whatever else answers 403 is a rule about the object (limits, Pod Security), and no right helps."""

_Holds = Callable[[int, str, str, tuple[Cause, ...]], bool]


def _is_immutable(_: int, __: str, message: str, causes: tuple[Cause, ...]) -> bool:
    """Whether immutability is all that is wrong (M12)."""
    texts = [cause.message for cause in causes] or [message]
    return all(_IMMUTABLE.search(text) for text in texts)


_TABLE: Final[tuple[tuple[RefusalKind, _Holds], ...]] = (
    (RefusalKind.UNAUTHORIZED, lambda status, *_: status == 401),
    (RefusalKind.BUSY, lambda status, *_: status == 429),
    (RefusalKind.TOO_LARGE, lambda status, _, message, __: status == 413 or "request is too large" in message),
    (RefusalKind.UNKNOWN_FIELD, lambda _, __, message, ___: bool(_TYPED.search(message))),
    (RefusalKind.OUTDATED, lambda _, __, message, ___: bool(_OLDER.search(message))),
    (RefusalKind.WEBHOOK_DOWN, lambda _, __, message, ___: "failed calling webhook" in message),
    (RefusalKind.DENIED, lambda status, _, message, __: status < 500 and bool(_DENIED.search(message))),
    (
        RefusalKind.TERMINATING,
        lambda status, _, message, causes: (
            status == 403
            and ("it is being terminated" in message or any(each.reason == "NamespaceTerminating" for each in causes))
        ),
    ),
    (RefusalKind.QUOTA, lambda status, _, message, __: status == 403 and "exceeded quota" in message),
    (RefusalKind.FORBIDDEN, lambda status, _, message, __: status == 403 and bool(_LACKS.search(message))),
    (RefusalKind.DENIED, lambda status, reason, *_: status == 403 and reason == "Forbidden"),
    (RefusalKind.FORBIDDEN, lambda status, *_: status == 403),
    (
        RefusalKind.CONFLICT,
        lambda status, _, __, causes: (
            status == 409 and any(cause.reason == "FieldManagerConflict" for cause in causes)
        ),
    ),
    (RefusalKind.MOVED, lambda _, __, ___, causes: any(cause.field == _UID for cause in causes)),
    (RefusalKind.EXISTS, lambda status, reason, *_: status == 409 and reason == "AlreadyExists"),
    (RefusalKind.MOVED, lambda status, *_: status == 409),
    (
        RefusalKind.NO_NAMESPACE,
        lambda status, _, message, __: (
            status == 404 and re.match(r'namespaces "[^"]*" not found', message) is not None
        ),
    ),
    (RefusalKind.NOT_FOUND, lambda status, reason, *_: status == 404 and reason == "NotFound"),
    (RefusalKind.NO_KIND, lambda status, *_: status == 404),
    (RefusalKind.IMMUTABLE, lambda status, *rest: status == 422 and _is_immutable(status, *rest)),
    (RefusalKind.INVALID, lambda status, *_: status in (400, 422)),
    (RefusalKind.BROKEN, lambda status, *_: status >= 500),
    (RefusalKind.BAD, lambda *_: True),
)


def _advice(refused: Refusal) -> str:
    if refused.kind is RefusalKind.FORBIDDEN:
        return _rule_to_add(refused.message)
    if refused.kind is RefusalKind.UNKNOWN_FIELD and (unknown := _UNDECLARED.findall(refused.message)):
        are = "are" if len(unknown) > 1 else "is"
        names = ", ".join(sorted(each.rpartition("): ")[2] for each in unknown))
        return f"; {names} {are} not in the schema of the kind (its installed CRD, or the API server's own){_MEND}"
    if refused.kind is RefusalKind.WEBHOOK_DOWN and (service := _SERVICE.search(refused.message)):
        return f"; it is asked at the Service {service['namespace']}/{service['name']}{_COMES_BACK}"
    return _ADVICE.get(refused.kind, "")


_MEND: Final = "; mend the manifest, or the schema: nothing is dropped silently"
_COMES_BACK: Final = "; it is tried again, as the webhook may come back"
_SERVICE: Final = re.compile(r"https://(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc[:/]")
_ADVICE: Final = {
    RefusalKind.UNKNOWN_FIELD: _MEND,
    RefusalKind.OUTDATED: "; its managedFields are at another version of the kind: an apply brings them to this one",
    RefusalKind.NO_NAMESPACE: "; add the namespace to the manifests, or make it",
    RefusalKind.NO_KIND: "; its CRD is not installed, or serves another version",
    RefusalKind.WEBHOOK_DOWN: _COMES_BACK,
    RefusalKind.TOO_LARGE: "; an API server takes objects of up to about 1.5 MB: split it",
    RefusalKind.UNAUTHORIZED: "; the credential of the kubeconfig is not, or no longer, valid",
}
_FORBIDDEN: Final = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>[\w:-]+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


def _rule_to_add(message: str) -> str:
    """Return the rule that lets the user do it."""
    found = _FORBIDDEN.search(message)
    if found is None:
        return ""
    where = f"a Role in {found['namespace']}" if found["namespace"] else "a ClusterRole"
    rule = f'{{apiGroups: ["{found["group"]}"], resources: ["{found["resource"]}"], verbs: ["{found["verb"]}"]}}'
    return f"; add to {where}, bound to {found['user']}: {rule}"
