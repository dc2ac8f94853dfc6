"""Which fields of which objects are the cluster's to say, although Git sets them."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.pointer import Pointer

__all__ = ["IgnoreRule", "ignored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRule:
    """Fields to ignore, of the objects that all of it fits; what is None fits any.

    Attributes:
        paths: the fields.
        group: of the API; the core group is empty.
        kind: such as `Deployment`.
        namespace: that the object is in.
        name: of the object.
    """

    paths: tuple[Pointer, ...]
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None

    def fits(self, which: ObjectId) -> bool:
        """Whether the rule is for that object."""
        asked = (self.group, self.kind, self.namespace, self.name)
        found = (which.kind.group, which.kind.kind, which.namespace, which.name)
        return all(want is None or want == have for want, have in zip(asked, found, strict=True))


def ignored(rules: Iterable[IgnoreRule], which: ObjectId) -> tuple[Pointer, ...]:
    """Return the fields of an object that rules ignore, each once."""
    return tuple(dict.fromkeys(path for rule in rules if rule.fits(which) for path in rule.paths))
