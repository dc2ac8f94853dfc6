"""Which kinds an API server serves, and where: from its discovery, in two answers.

A group whose server is away is said to be stale there, and does not keep the others from being known. What the same
set of manifests defines (CRDs) is known from those, as discovery learns of it later.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from agent.core.kubernetes.object import GroupKind, Object, ObjectId, split_version

__all__ = ["Resource", "Resources", "defined_by", "read_discovery"]

CRD: Final = GroupKind("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind at one version of its API.

    Attributes:
        kind: which.
        version: such as `v1`.
        plural: as it is in paths.
        namespaced: whether its objects are in namespaces.
        verbs: what may be done with them, by anybody.
        scales: whether the number of their replicas can be written by itself, as autoscalers do.
    """

    kind: GroupKind
    version: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    scales: bool = False

    @property
    def api_version(self) -> str:
        """As manifests have it."""
        return f"{self.kind.group}/{self.version}" if self.kind.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, or of all of a namespace, or of all there are."""
        root = f"/apis/{self.kind.group}/{self.version}" if self.kind.group else f"/api/{self.version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        last = f"/{quote(name, safe='')}" if name else ""
        return f"{root}{inside}/{self.plural}{last}"


class Resources:
    """Kinds by group, name and version; those given first win, and are preferred.

    Args:
        known: the kinds.
        away: groups whose server does not answer now: what it serves is not known, or as it was.
    """

    def __init__(self, known: Iterable[Resource] = (), *, away: Iterable[str] = ()) -> None:
        self.away = frozenset(away)
        self._known: dict[tuple[GroupKind, str], Resource] = {}
        self._preferred: dict[GroupKind, Resource] = {}
        for each in known:
            self._known.setdefault((each.kind, each.version), each)
            self._preferred.setdefault(each.kind, each)

    def __iter__(self) -> Iterator[Resource]:
        """Yield each kind once, at its preferred version."""
        return iter(self._preferred.values())

    def find(self, kind: GroupKind, version: str | None = None) -> Resource | None:
        """Return a kind at a version, or at the one that the server prefers."""
        return self._preferred.get(kind) if version is None else self._known.get((kind, version))

    def versions(self, kind: GroupKind) -> tuple[str, ...]:
        """Return at which versions a kind is served, as manifests have them."""
        return tuple(each.api_version for (known, _), each in self._known.items() if known == kind)

    def of(self, item: Object) -> Resource | None:
        """Return the kind of an object that has kind and version."""
        group, version = split_version(item["apiVersion"])
        return self.find(GroupKind(group, item["kind"]), version)

    def path(self, which: ObjectId, version: str | None = None) -> str | None:
        """Return where an object is; at the preferred version where `version` is served no more."""
        found = (self.find(which.kind, version) if version else None) or self.find(which.kind)
        return found.path(which.namespace, which.name) if found else None

    def plus(self, more: Iterable[Resource]) -> "Resources":
        """Return these and more; where a kind is known, it stays as it is."""
        return Resources([*self._known.values(), *more], away=self.away)


def read_discovery(*answers: Object) -> Resources:
    """Read what `/api` and `/apis` answer (`APIGroupDiscoveryList`); anything odd in it is left out."""
    known = [each for answer in answers for each in _groups(answer)]
    return Resources(known, away=[each for answer in answers for each in _away(answer)])


def _away(answer: Object) -> Iterator[str]:
    for group in _list(answer, "items"):
        if any(version.get("freshness") == "Stale" for version in _list(group, "versions")):
            yield str(_dict(group, "metadata").get("name") or "")


def _groups(answer: Object) -> Iterator[Resource]:
    for group in _list(answer, "items"):
        name = _dict(group, "metadata").get("name") or ""
        for version in _list(group, "versions"):
            for resource in _list(version, "resources"):
                yield from _resource(str(name), str(version.get("version", "")), resource)


def _resource(group: str, version: str, resource: Mapping[str, Any]) -> Iterator[Resource]:
    kind, plural = _dict(resource, "responseKind").get("kind"), resource.get("resource")
    if not (isinstance(kind, str) and isinstance(plural, str) and version):
        return
    # A kind is served in the group that its path has, also where it is another group's (`Scale`, `Eviction`).
    own_group = _dict(resource, "responseKind").get("group") or group
    if own_group != group:
        return
    verbs = frozenset(str(verb) for verb in resource.get("verbs") or ())
    yield Resource(
        kind=GroupKind(group, kind),
        version=version,
        plural=plural,
        namespaced=resource.get("scope") == "Namespaced",
        verbs=verbs,
        scales=any(part.get("subresource") == "scale" for part in _list(resource, "subresources")),
    )


def defined_by(items: Iterable[Object]) -> Iterator[Resource]:
    """Yield the kinds that CustomResourceDefinitions among `items` define."""
    for item in items:
        spec = _dict(item, "spec")
        names = _dict(spec, "names")
        kind, plural = names.get("kind"), names.get("plural")
        if item.get("kind") != CRD.kind or not (isinstance(kind, str) and isinstance(plural, str)):
            continue
        for version in _list(spec, "versions"):
            if version.get("served") is True and isinstance(version.get("name"), str):
                yield Resource(
                    kind=GroupKind(str(spec.get("group", "")), kind),
                    version=version["name"],
                    plural=plural,
                    namespaced=spec.get("scope") == "Namespaced",
                    scales="scale" in _dict(version, "subresources"),
                )


def _list(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _dict(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
