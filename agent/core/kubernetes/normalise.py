"""From what Git has to what is applied: checked, without what is the server's, and in the form SSA needs.

Server-side apply compares what was written with what was written before, field by field. So what a server would have
filled in or turned into something else is written out here: `stringData`, the protocol that is part of a port's key,
nulls. What makes SSA answer with an error that names nothing a person wrote is found here, with its place.
All faults are found at once, and none quotes a value.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.forms import reform
from agent.core.kubernetes.object import GroupKind, Manifest, Object, ObjectId, split_version
from agent.core.kubernetes.options import Options, options_of
from agent.core.kubernetes.resources import Resource, Resources, defined_by
from agent.core.kubernetes.sizes import too_large
from agent.core.kubernetes.twins import twins

__all__ = ["Desired", "normalise"]

_APPLYSET: Final = "applyset.kubernetes.io/"
_SERVERS: Final = (
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """An object as it is to be, ready to be sent.

    Attributes:
        id: which, with the namespace that it will be in.
        manifest: the object and where it was written.
        resource: where the server has its kind.
        options: what its annotations ask for.
    """

    id: ObjectId
    manifest: Manifest
    resource: Resource
    options: Options

    @property
    def item(self) -> Object:
        """The object."""
        return self.manifest.item

    @property
    def path(self) -> str:
        """Where it is on the server."""
        return self.resource.path(self.id.namespace, self.id.name)


def normalise(
    manifests: Iterable[Manifest], resources: Resources, *, namespace: str
) -> tuple[tuple[Desired, ...], tuple[Fault, ...]]:
    """Return what is to be applied, or everything that is wrong with it.

    Args:
        manifests: as they were read; they are changed.
        resources: what the server serves.
        namespace: of objects that name none and need one.
    """
    faults: list[Fault] = []
    flat = [each for manifest in manifests for each in _flat(manifest, faults)]
    named = [each for each in flat if not _refuse(each, _unnamed(each.item), faults)]
    served = resources.plus(defined_by(each.item for each in named))
    desired = [found for each in named if (found := _desired(each, served, namespace, faults)) is not None]
    faults += _duplicates(desired)
    return (tuple(desired), ()) if not faults else ((), tuple(sorted(faults)))


def _flat(manifest: Manifest, faults: list[Fault]) -> Iterator[Manifest]:
    """Yield an object, or those of a `List`."""
    item = manifest.item
    if not (
        isinstance(item.get("kind"), str) and item["kind"].endswith("List") and isinstance(item.get("items"), list)
    ):
        yield manifest
        return
    for index, each in enumerate(item["items"]):
        if isinstance(each, dict):
            yield replace(manifest, item=each)
        else:
            faults.append(Fault(origin=manifest.origin, field=f"items[{index}]", problem="is no object"))


def _refuse(manifest: Manifest, found: Iterable[tuple[str, str]], faults: list[Fault]) -> bool:
    """Note what was found, and say whether that was anything."""
    new = [Fault(origin=manifest.origin, field=field, problem=problem) for field, problem in found]
    faults += new
    return bool(new)


def _unnamed(item: Object) -> Iterator[tuple[str, str]]:
    """Yield what keeps an object from being known by its name."""
    for name in ("apiVersion", "kind"):
        if not _is_text(item.get(name)):
            yield name, "is missing, or no text: every object has one"
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        yield "metadata", "is missing, or no mapping: every object has a name in it"
        return
    if metadata.get("generateName") is not None:
        yield "metadata.generateName", "cannot be applied, as each time would make another object: give it a name"
    elif not _is_text(metadata.get("name")):
        yield "metadata.name", "is missing, or no text (quote a name that looks like a number)"
    if metadata.get("namespace") is not None and not isinstance(metadata["namespace"], str):
        yield "metadata.namespace", "is no text (quote a name that looks like a number)"
    for name in ("labels", "annotations"):
        yield from _texts(metadata, name)


def _texts(metadata: Object, name: str) -> Iterator[tuple[str, str]]:
    values = metadata.get(name)
    if values is None:
        return
    if not isinstance(values, dict):
        yield f"metadata.{name}", "is no mapping"
        return
    for key, value in values.items():
        if value is not None and not isinstance(value, str):
            yield f"metadata.{name}[{key}]", "is no text: quote it"
        if key.startswith(_APPLYSET):
            yield f"metadata.{name}[{key}]", "is bellpull's to set: it says to which Sync an object belongs"


def _desired(manifest: Manifest, served: Resources, namespace: str, faults: list[Fault]) -> Desired | None:
    resource = served.of(manifest.item)
    if resource is None:
        problem = _not_served(manifest.item, served)
        faults.append(Fault(origin=manifest.origin, field="kind", problem=problem, passes=True))
        return None
    item = _bare(manifest.item)
    if not resource.namespaced:
        item["metadata"].pop("namespace", None)
    elif not item["metadata"].get("namespace"):
        item["metadata"]["namespace"] = namespace
    if _refuse(manifest, [*reform(item), *twins(item), *too_large(item)], faults):
        return None
    return Desired(
        id=ObjectId.of(item), manifest=replace(manifest, item=item), resource=resource, options=options_of(item)
    )


def _not_served(item: Object, served: Resources) -> str:
    group, _ = split_version(item["apiVersion"])
    kind = GroupKind(group, item["kind"])
    other = served.find(kind)
    if other is not None:
        return f"is not served at {item['apiVersion']}: the cluster has {other.api_version}"
    if group in served.away:
        return f"the server of {group} does not answer the cluster (its APIService): what it serves is not known now"
    return f"{kind} is not served by the cluster, and no CRD among the manifests defines it"


def _bare(item: Object) -> Object:
    """Return the object without what is the server's to say, and without nulls."""
    bare: Object = _without_nulls(item)
    bare.pop("status", None)
    metadata = bare["metadata"]
    for name in _SERVERS:
        metadata.pop(name, None)
    annotations = metadata.get("annotations", {})
    annotations.pop(_LAST_APPLIED, None)
    if not annotations:
        metadata.pop("annotations", None)
    return bare


def _without_nulls(value: Any) -> Any:
    """Return `value` without keys whose value is null: to SSA they would be fields of ours, or errors."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _duplicates(desired: Sequence[Desired]) -> Iterator[Fault]:
    first: dict[ObjectId, Desired] = {}
    for each in desired:
        other = first.setdefault(each.id, each)
        if other is not each:
            problem = f"{each.id} is also in {other.manifest.origin}: an object can be written once"
            yield Fault(origin=each.manifest.origin, problem=problem)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
