"""What a cluster serves: learnt from a real one as it changes, and what is not known is not taken for absent."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agent.adapters.kubernetes.client import Client
from agent.adapters.kubernetes.discovery import Discovery
from agent.app.kubernetes.pruner import Pruner
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.normalise import normalise
from agent.core.kubernetes.object import GroupKind, Manifest, Object, ObjectId, Origin
from agent.core.kubernetes.policy import Action, Done, Undone
from agent.core.kubernetes.requests import Answer, Request
from agent.core.kubernetes.resources import Resources, read_discovery
from tests.agent.kubernetes.cluster import policy
from tests.parts.control_plane import ControlPlane

WIDGET = GroupKind("discovery.bellpull.dev", "Widget")
GADGET = GroupKind("away.bellpull.dev", "Gadget")


@contextmanager
def made(plane: ControlPlane, folder: str, item: Object) -> Iterator[None]:
    """Keep an object in the cluster while the context lasts."""
    plane.ask("POST", folder, item)
    try:
        yield
    finally:
        plane.ask("DELETE", f"{folder}/{item['metadata']['name']}")


def crd() -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{WIDGET.group}"},
        "spec": {"group": WIDGET.group, "scope": "Cluster", "names": names, "versions": [version]},
    }


async def until(discovery: Discovery, holds: Callable[[Resources], bool]) -> Resources:
    """Ask again until it holds; an API server tells of a change a moment later."""
    for _ in range(200):
        discovery.forget()
        found = await discovery.resources()
        if holds(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("the API server does not tell of the change")


async def test_a_kind_that_appears_and_goes(client: Client, control_plane: ControlPlane) -> None:
    """It is known after `forget`, and not before: nothing is asked in between."""
    discovery = Discovery(client)
    before = await discovery.resources()
    with made(control_plane, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd()):
        assert await discovery.resources() is before
        found = (await until(discovery, lambda served: served.find(WIDGET) is not None)).find(WIDGET, "v1")
        assert found is not None
        assert (found.path(name="a"), found.namespaced) == (f"/apis/{WIDGET.group}/v1/widgets/a", False)
    await until(discovery, lambda served: served.find(WIDGET) is None)


def manifest(version: str, kind: str) -> Manifest:
    item = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}
    return Manifest(item=item, origin=Origin(path="a.yaml", document=1, line=1))


async def test_a_server_behind_the_api_server_that_is_away(client: Client, control_plane: ControlPlane) -> None:
    """The others are known; what its kinds are is unknown, which is said, and deletes nothing from the inventory."""
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{GADGET.group}"},
        "spec": {
            "group": GADGET.group,
            "version": "v1",
            "service": {"namespace": "default", "name": "nowhere"},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    discovery = Discovery(client)
    with made(control_plane, "/apis/apiregistration.k8s.io/v1/apiservices", service):
        served = await until(discovery, lambda served: GADGET.group in served.away)
    assert served.find(GroupKind("apps", "Deployment")) is not None
    (unserved,) = normalise([manifest(f"{GADGET.group}/v1", "Gadget")], served, namespace="a").unserved
    assert f"the server of {GADGET.group} does not answer" in unserved.problem
    member = Member(id=ObjectId(GADGET, "", "a"), version="v1")
    (kept,) = await Pruner(client, policy(), served, living={}, width=1).prune([member])
    assert isinstance(kept, Undone)
    assert kept.passes
    served = await until(discovery, lambda served: GADGET.group not in served.away)
    (gone,) = await Pruner(client, policy(), served, living={}, width=1).prune([member])
    assert isinstance(gone, Done)
    assert gone.action is Action.DELETED


class Failing:
    """Answers as a cluster whose object takes the deletion, and which then is in trouble."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)

    async def send(self, request: Request) -> Answer:
        assert request.path
        return next(self._answers)


async def test_trouble_is_not_taken_for_gone() -> None:
    """A deletion whose end nobody saw stays in the inventory."""
    to = policy()
    entry = {
        "manager": to.manager,
        "operation": "Apply",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }
    metadata: Object = {"name": "a", "uid": "1", "managedFields": [entry]}
    metadata["labels"] = {"applyset.kubernetes.io/part-of": to.parent}
    live: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    cluster = Failing(
        Answer(status=200, body=live), Answer(status=200, body={}), Answer(status=503, body={"message": "stopping"})
    )
    served = read_discovery(discovery_of("ConfigMap", "configmaps"))
    member = Member(id=ObjectId(GroupKind("", "ConfigMap"), "b", "a"), version="v1")
    (made_,) = await Pruner(cluster, to, served, living={}, width=1).prune([member])
    assert isinstance(made_, Undone)
    assert (made_.passes, made_.problem) == (True, "is being deleted: stopping")


def discovery_of(kind: str, plural: str, **version: Any) -> Object:
    resource = {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["get"]}
    return {"items": [{"metadata": {}, "versions": [{"version": "v1", "resources": [resource], **version}]}]}


def test_what_is_stale_is_said_and_kept() -> None:
    """A server that was there before is known as it was."""
    served = read_discovery(discovery_of("Pod", "pods", freshness="Stale"), {"items": [{"versions": "odd"}, 1]})
    assert served.away == {""}
    assert served.find(GroupKind("", "Pod")) is not None
    assert served.plus([]).away == served.away
