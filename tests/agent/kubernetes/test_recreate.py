"""Objects that are made anew on a real API server for a field that may not change, and those that never are (M12)."""

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.error import HTTPError

import pytest

from agent.app.kubernetes import recreate
from agent.app.kubernetes.applier import Applier
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.policy import Action, Conflicts, Undone
from tests.agent.kubernetes.cluster import Hand, Meanwhile, config_map, deployment, policy
from tests.parts.webhook import until

FORCE: Final = policy(force=True)
RBAC: Final = "rbac.authorization.k8s.io"


def item(kind: str, name: str = "a", version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def pods(*, image: str = "example.org/a:1", **more: Any) -> Object:
    """Return a template."""
    return {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "a", "image": image}], "restartPolicy": "Never", **more},
    }


def pod(user: int) -> Object:
    return item("Pod", spec=pods(securityContext={"runAsUser": user})["spec"])


def job(image: str) -> Object:
    return item("Job", version="batch/v1", spec={"template": pods(image=image)})


def stateful(service: str, **more: Any) -> Object:
    template = pods(restartPolicy="Always")
    spec = {
        "selector": {"matchLabels": {"app": "a"}},
        "serviceName": service,
        "replicas": 1,
        "template": template,
        **more,
    }
    return item("StatefulSet", version="apps/v1", spec=spec)


def claims(size: str) -> list[Object]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return [{"metadata": {"name": "data"}, "spec": spec}]


def service(**spec: Any) -> Object:
    return item("Service", spec={"selector": {"app": "a"}, "ports": [{"port": 80}], **spec})


def binding(role: str) -> Object:
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    return item("RoleBinding", version=f"{RBAC}/v1", roleRef=reference, subjects=[])


def storage(name: str, provisioner: str) -> Object:
    return item("StorageClass", name, "storage.k8s.io/v1", provisioner=provisioner)


def volume(name: str, path: str) -> Object:
    source = {"hostPath": {"path": path}, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    return item("PersistentVolume", name, spec=source)


def definition(group: str, scope: str) -> Object:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"}
    spec = {"group": group, "scope": scope, "names": names, "versions": [version]}
    return item("CustomResourceDefinition", f"things.{group}", "apiextensions.k8s.io/v1", spec=spec)


@pytest.fixture
def gone(hand: Hand) -> Iterator[Callable[[str], str]]:
    """Return a path, of what is deleted at the end."""
    paths: list[str] = []

    def remember(path: str) -> str:
        paths.append(path)
        return path

    yield remember
    for path in paths:
        if hand.plane.seen(path) is not None:
            hand.plane.ask("DELETE", path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(job("example.org/a:1"), job("example.org/a:2"), id="a job that runs again"),
        pytest.param(pod(1), pod(2), id="a pod"),
        pytest.param(stateful("one"), stateful("two"), id="a stateful set without claims"),
        pytest.param(
            config_map("a", k="1") | {"immutable": True}, config_map("a", k="2") | {"immutable": True}, id="immutable"
        ),
        pytest.param(
            item("Secret", type="Opaque"), item("Secret", type="example.org/other"), id="the type of a secret"
        ),
        pytest.param(service(), service(clusterIP="None"), id="a service without an address"),
        pytest.param(binding("view"), binding("edit"), id="whose role"),
    ],
)
async def test_what_may_not_change_is_made_anew(hand: Hand, before: Object, after: Object) -> None:
    """Only where that is asked for; then the new one is there, and the next apply writes nothing."""
    made = await hand.apply(before)
    refused = await hand.fail(after, made)
    assert "set the annotation bellpull.dev/force: enabled" in refused.problem
    (desired,) = await hand.desired(before)
    old = hand.plane.seen(desired.path)
    anew = await hand.apply(after, made, to=FORCE)
    live = hand.plane.seen(desired.path)
    assert anew.action is Action.RECREATED
    assert live["metadata"]["uid"] != old["metadata"]["uid"]
    again = await hand.apply(after, anew, to=FORCE)
    assert again.action is Action.UNCHANGED


async def test_what_has_no_namespace_is_made_anew(hand: Hand, gone: Callable[[str], str]) -> None:
    name = f"{hand.namespace}-class"
    (desired,) = await hand.desired(storage(name, "example.org/one"))
    gone(desired.path)
    made = await hand.apply(storage(name, "example.org/one"))
    anew = await hand.apply(storage(name, "example.org/two"), made, to=FORCE)
    assert anew.action is Action.RECREATED


# -- never ----------------------------------------------------------------------------------------------------------


def never(name: str) -> dict[str, tuple[Object, Object, str]]:
    """Return what is never made anew, as it is and as it is to be, and why not."""
    group = f"{name}.example.org"
    return {
        "a volume": (volume(name, "/one"), volume(name, "/two"), "its data may go"),
        "a kind": (
            definition(group, "Namespaced"),
            definition(group, "Cluster"),
            "all objects of its kind would go",
        ),
        "claims": (
            stateful("one", volumeClaimTemplates=claims("1Gi")),
            stateful("one", volumeClaimTemplates=claims("2Gi")),
            "it has claims, whose data may go",
        ),
        "an address": (
            service(clusterIP="10.96.77.1"),
            service(clusterIP="10.96.77.2"),
            "its clusterIP may be taken meanwhile, which no dry run shows",
        ),
    }


@pytest.mark.parametrize("which", never(""))
async def test_what_holds_what_is_lost_is_never_made_anew(hand: Hand, gone: Callable[[str], str], which: str) -> None:
    before, after, why = never(hand.namespace)[which]
    (desired,) = await hand.desired(before)
    gone(desired.path)
    made = await hand.apply(before)
    if which == "a kind":
        until(lambda: "Established" in str(hand.plane.seen(desired.path)["status"]), "it may not change any more")
    old = hand.plane.seen(desired.path)
    refused = await hand.fail(after, made, to=FORCE)
    live = hand.plane.seen(desired.path)
    assert (
        f"is not made anew: {why}; if that is meant, annotate it with bellpull.dev/force: cascade" in refused.problem
    )
    assert (live["metadata"]["uid"], live["spec"]) == (old["metadata"]["uid"], old["spec"])


def meant(after: Object) -> Object:
    """Return it as a person says that it may go with what it holds."""
    return after | {"metadata": after["metadata"] | {"annotations": {"bellpull.dev/force": "cascade"}}}


async def test_what_holds_what_is_lost_is_made_anew_where_that_is_meant(hand: Hand) -> None:
    """By an annotation of its own, beside which none of the Sync is needed."""
    before, after, _ = never(hand.namespace)["claims"]
    made = await hand.apply(before)
    anew = await hand.apply(meant(after), made)
    assert anew.action is Action.RECREATED


async def test_an_address_that_another_has_is_seen_too_late_and_the_old_one_put_back(hand: Hand) -> None:
    """Why it is never made anew without a word: the dry run says that all is well."""
    other = service(clusterIP="10.96.77.4")
    other["metadata"] = {"name": "other"}
    hand.create(other)
    made = await hand.apply(service(clusterIP="10.96.77.3"))
    refused = await hand.fail(meant(service(clusterIP="10.96.77.4")), made)
    assert "provided IP is already allocated; the old one was put back" in refused.problem
    live = hand.live(service())
    assert live is not None
    assert live["spec"]["clusterIP"] == "10.96.77.3"


def balanced(kind: str) -> Object:
    """Return a Service whose class may not change, with a port on the nodes that is its own."""
    return service(type="LoadBalancer", loadBalancerClass=kind, ports=[{"port": 80, "nodePort": 31777}])


async def test_a_port_that_the_old_one_has_is_said_to_be(hand: Hand) -> None:
    """Making it anew would work, and no dry run can show that."""
    made = await hand.apply(balanced("example.org/one"))
    refused = await hand.fail(balanced("example.org/two"), made, to=FORCE)
    assert "provided port is already allocated" in refused.problem
    assert "it may be the old one itself that has it: delete that yourself" in refused.problem
    live = hand.live(service())
    assert live is not None
    assert live["spec"]["loadBalancerClass"] == "example.org/one"


async def test_a_quota_that_the_old_one_uses_up_is_said_to_be(hand: Hand) -> None:
    root = f"/api/v1/namespaces/{hand.namespace}"
    made = await hand.apply(config_map("a", k="1") | {"immutable": True})
    until(lambda: hand.plane.seen(f"{root}/configmaps/kube-root-ca.crt") is not None, "the namespace has its own")
    hand.plane.ask("POST", f"{root}/resourcequotas", item("ResourceQuota", spec={"hard": {"configmaps": "2"}}))

    def is_full() -> bool:
        try:
            hand.plane.ask("POST", f"{root}/configmaps?dryRun=All", config_map("more"))
        except HTTPError as error:
            return error.code == 403
        return False

    until(is_full, "the quota is heeded")
    refused = await hand.fail(config_map("a", k="2") | {"immutable": True}, made, to=FORCE)
    assert "exceeded quota" in refused.problem
    assert "it may be the old one itself that has it: delete that yourself" in refused.problem
    assert hand.live(config_map("a")) is not None


# -- meanwhile ------------------------------------------------------------------------------------------------------


async def test_what_is_written_before_the_deletion_is_looked_at_again(hand: Hand) -> None:
    """It is deleted as it was read, so that it could be put back so; its replicas go on."""
    made = await hand.apply(deployment())
    path = f"{hand.path(deployment())}/scale?fieldManager=somebody"

    def scale() -> None:
        hand.plane.ask("PATCH", path, {"spec": {"replicas": 4}}, content="application/merge-patch+json")

    other = deployment(selector={"matchLabels": {"app": "web", "new": "yes"}})
    other["spec"]["template"]["metadata"]["labels"]["new"] = "yes"
    cluster = Meanwhile(hand.client, scale)
    (desired,) = await hand.desired(other)
    member = Member(id=desired.id, version="v1", record=made.record)
    await Applier(cluster, FORCE, {}).apply(desired, member)
    live = hand.live(deployment())
    assert live is not None
    assert len(cluster.deletions) >= 2
    assert (live["spec"]["replicas"], live["spec"]["selector"]["matchLabels"]["new"]) == (4, "yes")


async def test_one_that_was_made_anew_by_somebody_before_the_deletion_stays(hand: Hand) -> None:
    """It is no longer the one that was in the way."""
    made = await hand.apply(config_map("a", k="1") | {"immutable": True})

    def another() -> None:
        hand.plane.ask("DELETE", hand.path(config_map("a")))
        hand.create(config_map("a", k="theirs"))

    cluster = Meanwhile(hand.client, another)
    (desired,) = await hand.desired(config_map("a", k="2") | {"immutable": True})
    member = Member(id=desired.id, version="v1", record=made.record)
    ended = await Applier(cluster, policy(force=True, conflicts=Conflicts.FAIL), {}).apply(desired, member)
    assert isinstance(ended, Undone)
    assert "others own what Git sets: .data.k of somebody" in ended.problem
    live = hand.live(config_map("a"))
    assert live is not None
    assert live["data"] == {"k": "theirs"}


async def test_one_that_a_finalizer_holds_is_made_once_it_is_gone(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not forced; the next run finds it gone, and makes it."""
    monkeypatch.setattr(recreate, "_GONE_S", 0.3)
    before, after = (config_map("a", k=each) | {"immutable": True} for each in "12")
    made = await hand.apply(before)
    hand.merge(before, {"metadata": {"finalizers": ["example.org/hold"]}})
    refused = await hand.fail(after, made, to=FORCE)
    assert "held by example.org/hold; it is made once it is gone" in refused.problem
    hand.merge(before, {"metadata": {"finalizers": None}})
    await hand.apply(after, made, to=FORCE)
    live = hand.live(after)
    assert live is not None
    assert live["data"] == {"k": "2"}
