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
from agent.core.kubernetes.object import GroupKind, Manifest, Object, ObjectId, Origin, split_version
from agent.core.kubernetes.options import Options, options_of
from agent.core.kubernetes.resources import Resource, Resources, defined_by
from agent.core.kubernetes.sizes import too_large
from agent.core.kubernetes.twins import twins

__all__ = ["Desired", "Normalised", "Unserved", "normalise"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """An object of a kind that the cluster does not serve, or not at this version: somebody may install it.

    Attributes:
        id: which; whether its kind has namespaces is not known, and it has one here.
        api_version: as its manifest has it.
        origin: where it was written.
        problem: why it cannot be applied now.
    """

    id: ObjectId
    api_version: str
    origin: Origin
    problem: str

    @property
    def ids(self) -> tuple[ObjectId, ObjectId]:
        """Both that it may have, with a namespace and without."""
        return self.id, replace(self.id, namespace="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """What manifests are to be; with any fault it is nothing.

    Attributes:
        desired: what can be applied.
        unserved: what cannot be yet, and holds up only itself.
        faults: everything that a person has to mend.
    """

    desired: tuple[Desired, ...] = ()
    unserved: tuple[Unserved, ...] = ()
    faults: tuple[Fault, ...] = ()


def normalise(manifests: Iterable[Manifest], resources: Resources, *, namespace: str) -> Normalised:
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
    known = [(each, served.of(each.item)) for each in named]
    desired = [
        found
        for each, resource in known
        if resource is not None and (found := _desired(each, resource, namespace, faults)) is not None
    ]
    faults += _duplicates(desired)
    if faults:
        return Normalised(faults=tuple(sorted(faults)))
    unserved = tuple(_unserved(each, served, namespace) for each, resource in known if resource is None)
    return Normalised(desired=tuple(desired), unserved=unserved)


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


def _unserved(manifest: Manifest, served: Resources, namespace: str) -> Unserved:
    item = manifest.item
    metadata = {**item["metadata"], "namespace": item["metadata"].get("namespace") or namespace}
    return Unserved(
        id=ObjectId.of({**item, "metadata": metadata}),
        api_version=item["apiVersion"],
        origin=manifest.origin,
        problem=_not_served(item, served),
    )


def _desired(manifest: Manifest, resource: Resource, namespace: str, faults: list[Fault]) -> Desired | None:
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
    others = served.versions(kind)
    if others:
        return f"is not served at {item['apiVersion']}: the cluster has {', '.join(others)}"
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
