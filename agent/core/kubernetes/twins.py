"""Items of a list that have the same key, which kubectl's own apply lets pass and SSA answers with a 500."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agent.core.kubernetes.object import Object
from agent.core.kubernetes.pods import CONTAINERS, mappings, pod_spec

__all__ = ["twins"]

_IN_POD: Final = {"volumes": ("name",), **dict.fromkeys(CONTAINERS, ("name",))}
_IN_CONTAINER: Final = {
    "ports": ("containerPort", "protocol"),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
}
_IN_SERVICE: Final = {"ports": ("port", "protocol")}


def twins(item: Object) -> Iterator[tuple[str, str]]:
    """Yield the fields that are there a second time, and what the first is."""
    if (item["apiVersion"], item["kind"]) == ("v1", "Service") and isinstance(item.get("spec"), dict):
        yield from _in(item["spec"], _IN_SERVICE, "spec")
    found = pod_spec(item)
    if found is None:
        return
    place, spec = found
    yield from _in(spec, _IN_POD, place)
    for name in CONTAINERS:
        for where, container in mappings(spec, name):
            yield from _in(container, _IN_CONTAINER, f"{place}.{where}")


def _in(value: dict[str, Any], lists: Mapping[str, Sequence[str]], place: str) -> Iterator[tuple[str, str]]:
    for name, keys in lists.items():
        first: dict[str, str] = {}
        for where, each in mappings(value, name):
            known = first.setdefault(_key(each, keys), where)
            if known != where:
                yield (
                    f"{place}.{where}",
                    f"has the same {' and '.join(keys)} as {place}.{known}: one of them is in vain",
                )


def _key(value: dict[str, Any], keys: Sequence[str]) -> str:
    return repr([value.get(key) for key in keys])
