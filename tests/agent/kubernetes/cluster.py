"""What tests of the engine share: a client, what is desired, and what there is."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from agent.adapters.kubernetes.client import Client
from agent.adapters.kubernetes.discovery import Discovery
from agent.app.kubernetes.applier import Applier
from agent.app.kubernetes.autoscalers import Autoscalers
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.normalise import Desired, normalise
from agent.core.kubernetes.object import Manifest, Object, Origin
from agent.core.kubernetes.policy import Done, Policy, Undone
from agent.core.kubernetes.requests import Answer, Method, Request
from agent.ports.cluster import Cluster
from tests.parts.control_plane import ControlPlane

__all__ = ["ONE", "TWO", "Hand", "Meanwhile", "config_map", "deployment", "policy"]

ONE: Final = "bellpull/tests/one"
TWO: Final = "bellpull/tests/two"


def policy(manager: str = ONE, **more: Any) -> Policy:
    """Return the policy of a Sync, whose set is called after it."""
    return Policy(manager=manager, parent=f"applyset-{manager.rpartition('/')[2]}-v1", key=b"key", **more)


def config_map(name: str = "a", *, annotations: dict[str, str] | None = None, **data: str) -> Object:
    """Return one."""
    metadata: dict[str, Any] = {"name": name} | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(**spec: Any) -> Object:
    """Return one, called `web`."""
    labels = {"app": "web"}
    container = {"name": "web", "image": "example.org/web:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    wanted = {"selector": {"matchLabels": labels}, "template": template} | spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": deepcopy(wanted)}


class Hand:
    """Applies in one namespace, and sees and changes what is there as an administrator would."""

    def __init__(self, client: Client, plane: ControlPlane, namespace: str) -> None:
        self.client = client
        self.plane = plane
        self.namespace = namespace
        self.discovery = Discovery(client)

    async def desired(self, *items: Object) -> tuple[Desired, ...]:
        """Return what is applied of these."""
        origin = Origin(path="a.yaml", document=1, line=1)
        manifests = [Manifest(item=deepcopy(item), origin=origin) for item in items]
        found = normalise(manifests, await self.discovery.resources(), namespace=self.namespace)
        assert not found.faults, found.faults
        assert not found.unserved, found.unserved
        return found.desired

    async def apply(self, item: Object, before: Done | None = None, *, to: Policy | None = None) -> Done:
        """Apply one that can be."""
        made = await self.try_to(item, before, to=to)
        assert isinstance(made, Done), made
        return made

    async def fail(self, item: Object, before: Done | None = None, *, to: Policy | None = None) -> Undone:
        """Apply one that cannot be."""
        made = await self.try_to(item, before, to=to)
        assert isinstance(made, Undone), made
        return made

    async def try_to(self, item: Object, before: Done | None = None, *, to: Policy | None = None) -> Done | Undone:
        """Apply one, of which is remembered what came of it `before`."""
        (wanted,) = await self.desired(item)
        member = Member(id=wanted.id, version=wanted.resource.version, record=before.record) if before else None
        known = to or policy()
        scaled = await Autoscalers(self.client).scaled([wanted], ())
        return await Applier(self.client, known, scaled).apply(wanted, member)

    def path(self, item: Object) -> str:
        """Return where it is."""
        plural = f"{item['kind'].lower()}s"
        root = "/api/v1" if item["apiVersion"] == "v1" else f"/apis/{item['apiVersion']}"
        return f"{root}/namespaces/{self.namespace}/{plural}/{item['metadata']['name']}"

    def live(self, item: Object) -> Object | None:
        """Return it as it is."""
        found: Object | None = self.plane.seen(self.path(item))
        return found

    def put(self, item: Object, manager: str = "somebody") -> None:
        """Write it as a client does that knows nothing of us."""
        self.plane.ask("PUT", f"{self.path(item)}?fieldManager={manager}", item)

    def merge(self, item: Object, patch: Object, manager: str = "somebody") -> None:
        """Change some of it, likewise."""
        path = f"{self.path(item)}?fieldManager={manager}"
        self.plane.ask("PATCH", path, patch, content="application/merge-patch+json")

    def create(self, item: Object, manager: str = "somebody") -> None:
        """Make it, likewise."""
        folder = self.path(item).rpartition("/")[0]
        self.plane.ask("POST", f"{folder}?fieldManager={manager}", item)

    def delete(self, item: Object) -> None:
        """Delete it, likewise."""
        self.plane.ask("DELETE", self.path(item))

    def say_status(self, item: Object, status: Object) -> None:
        """Say how it is, as a kubelet or a controller would."""
        self.plane.say_status(self.path(item), status)

    def apply_as(self, item: Object, manager: str) -> None:
        """Apply it as another tool does, with force."""
        path = f"{self.path(item)}?fieldManager={manager}&force=true"
        self.plane.ask("PATCH", path, item, content="application/apply-patch+yaml")


class Meanwhile:
    """Passes requests on; before the first deletion something else happens."""

    def __init__(self, cluster: Cluster, happens: Callable[[], None]) -> None:
        self.deletions: list[Request] = []
        self._cluster = cluster
        self._happens = happens

    async def send(self, request: Request) -> Answer:
        if request.method is Method.DELETE:
            if not self.deletions:
                self._happens()
            self.deletions.append(request)
        return await self._cluster.send(request)
