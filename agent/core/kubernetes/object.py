"""Objects of the Kubernetes API, and what they are called.

An object is JSON, `Object`: nothing here knows kinds as types, for most of them are made by others. What makes two
manifests the same object is group, kind, namespace and name; the version is only how it is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["GroupKind", "Manifest", "Object", "ObjectId", "Origin", "split_version"]

Object: TypeAlias = dict[str, Any]
"""JSON, as an API server takes and gives it."""


def split_version(api_version: str) -> tuple[str, str]:
    """Return group and version of an `apiVersion`; the core group is empty."""
    group, _, version = api_version.rpartition("/")
    return group, version


@dataclass(frozen=True, slots=True, order=True)
class GroupKind:
    """A kind, whatever its version: `Deployment` of the group `apps`; the core group is empty."""

    group: str
    kind: str

    def __str__(self) -> str:
        """As ApplySets write it: `Deployment.apps`, `Secret`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


@dataclass(frozen=True, slots=True, order=True)
class ObjectId:
    """Which object; `namespace` is empty where the kind has none."""

    kind: GroupKind
    namespace: str
    name: str

    def __str__(self) -> str:
        """For people: `Deployment/shop/web`, `Namespace/shop`."""
        return "/".join(part for part in (self.kind.kind, self.namespace, self.name) if part)

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "ObjectId":
        """Return the id of an object that is known to have kind and name."""
        metadata = item["metadata"]
        group, _ = split_version(item["apiVersion"])
        return cls(GroupKind(group, item["kind"]), metadata.get("namespace", ""), metadata["name"])


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Origin:
    """Where a manifest was written.

    Attributes:
        path: of the file, below the Sync's folder.
        document: its number in the file, from 1.
        line: where the document begins, from 1.
    """

    path: str
    document: int
    line: int

    def __str__(self) -> str:
        """For people: `apps/web.yaml:14 (document 2)`; the first document has no number."""
        which = f" (document {self.document})" if self.document > 1 else ""
        return f"{self.path}:{self.line}{which}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An object as Git has it, and where."""

    item: Object
    origin: Origin

    @property
    def id(self) -> ObjectId:
        """Which object it is; only after it was checked to have kind and name."""
        return ObjectId.of(self.item)
