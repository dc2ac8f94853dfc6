"""Values in the form in which SSA can compare them: what the API server would make of them, made before.

Each has a reason that was met with a real API server: a key removed from a Secret's `stringData` stays in its `data`;
a port without its protocol has half a key; rules beside an aggregation are taken out again and again; a CA bundle
that is none keeps a CRD from being established, and a webhook from being reached once another put the real one there.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any, Final

from agent.core.kubernetes.object import Object
from agent.core.kubernetes.pods import CONTAINERS, mappings, pod_spec

__all__ = ["reform"]

_PEM: Final = b"-----BEGIN CERTIFICATE-----"


def reform(item: Object) -> Iterator[tuple[str, str]]:
    """Change `item` where it has to be, and yield what is wrong with it: field and problem."""
    match item["apiVersion"], item["kind"]:
        case "v1", "Secret":
            yield from _secret(item)
        case "v1", "Service":
            _protocols(item.get("spec"), "ports")
        case "rbac.authorization.k8s.io/v1", "ClusterRole" if "aggregationRule" in item:
            item.pop("rules", None)
        case "apiextensions.k8s.io/v1", "CustomResourceDefinition":
            _drop_odd_bundle(_at(item, "spec", "conversion", "webhook", "clientConfig"))
        case "apiregistration.k8s.io/v1", "APIService":
            _drop_odd_bundle(item.get("spec"))
        case (
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ):
            for _, webhook in mappings(item, "webhooks"):
                _drop_odd_bundle(webhook.get("clientConfig"))
        case _:
            pass
    found = pod_spec(item)
    for name in CONTAINERS if found else ():
        for _, container in mappings(found[1], name) if found else ():
            _protocols(container, "ports")


def _secret(item: Object) -> Iterator[tuple[str, str]]:
    """Move `stringData` into `data`, which it wins over."""
    texts = item.pop("stringData", None)
    if texts is None:
        return
    if not isinstance(texts, dict):
        yield "stringData", "is no mapping"
        return
    data = item.setdefault("data", {})
    if not isinstance(data, dict):
        yield "data", "is no mapping"
        return
    for key, value in texts.items():
        if isinstance(value, str):
            data[key] = b64encode(value.encode("utf-8", "surrogatepass")).decode()
        else:
            yield f"stringData[{key}]", "is no text: quote it"


def _protocols(value: Any, name: str) -> None:
    if isinstance(value, dict):
        for _, port in mappings(value, name):
            port.setdefault("protocol", "TCP")


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _drop_odd_bundle(value: Any) -> None:
    """Take out a `caBundle` that is no certificate: tools put a placeholder there, for others to fill."""
    if isinstance(value, dict) and "caBundle" in value and not _is_bundle(value["caBundle"]):
        del value["caBundle"]


def _is_bundle(value: Any) -> bool:
    try:
        return isinstance(value, str) and _PEM in b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
