"""A kind of a test's own, defined by a CustomResourceDefinition: `Widget`, in a group that no other test has."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from agent.core.kubernetes.object import GroupKind, Object
from tests.agent.kubernetes.cluster import Hand

__all__ = ["TEXT", "Kind", "version"]

TEXT: Final = {"type": "string"}
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WAIT_S: Final = 20.0


def version(name: str = "v1", *, storage: bool = True, free: bool = False, **fields: Mapping[str, Any]) -> Object:
    """Return a version of it whose `spec` has these fields; where it is `free`, any others too."""
    spec: Object = {"type": "object", "properties": fields}
    if free:
        spec["x-kubernetes-preserve-unknown-fields"] = True
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {"name": name, "served": True, "storage": storage, "schema": schema}


class Kind:
    """One kind, there while `installed` lasts."""

    def __init__(self, hand: Hand) -> None:
        self.group = f"{hand.namespace}.example.org"
        self._hand = hand
        self._path = f"{_CRDS}/widgets.{self.group}"

    def definition(self, *versions: Object) -> Object:
        """Return the CustomResourceDefinition."""
        names = {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"}
        spec = {"group": self.group, "scope": "Namespaced", "names": names, "versions": list(versions)}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{self.group}"},
            "spec": spec,
        }

    def widget(self, api: str = "v1", **spec: Any) -> Object:
        """Return an object of it, called `w`."""
        return {"apiVersion": f"{self.group}/{api}", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}

    @asynccontextmanager
    async def installed(self, *versions: Object) -> AsyncIterator[None]:
        """Have it served while the context lasts."""
        self._hand.plane.ask("POST", _CRDS, self.definition(*versions))
        try:
            await self._until_served(versions)
            yield
        finally:
            self._hand.plane.ask("DELETE", self._path)

    async def change(self, *versions: Object) -> None:
        """Have it served as these versions, and no others."""
        self._hand.plane.ask(
            "PATCH",
            f"{self._path}?fieldManager=somebody&force=true",
            self.definition(*versions),
            content="application/apply-patch+yaml",
        )
        await self._until_served(versions)

    def forget(self, *names: str) -> None:
        """Say that nothing is stored at these versions any more, as who migrates what is stored says. Blocks."""
        live = self._hand.plane.seen(self._path)
        left = [each for each in live["status"]["storedVersions"] if each not in names]
        self._hand.plane.say_status(self._path, {"storedVersions": left})

    async def _until_served(self, versions: tuple[Object, ...]) -> None:
        names, end = {each["name"] for each in versions}, monotonic() + _WAIT_S
        known = GroupKind(self.group, "Widget")
        while True:
            self._hand.discovery.forget()
            served = await self._hand.discovery.resources()
            if {name for name in ("v1", "v2") if served.find(known, name)} == names:
                return
            assert monotonic() < end, "the kind is not served as it was said"
            await asyncio.sleep(0.02)
