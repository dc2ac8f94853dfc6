"""The traps of server-side apply (research/apply.md 4.6), each on a real API server.

No two applies of the same commit write twice, nothing is dropped silently, and no error names nothing a person wrote.
What is not here: replicas and autoscalers are in `test_leaving`, what kubectl left behind is in `test_applier` and
`test_apply_kubectl`, objects that are made anew are in `test_recreate`.
"""

from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest

from agent.core.kubernetes.fields import apply_entry, entries
from agent.core.kubernetes.normalise import normalise
from agent.core.kubernetes.object import Manifest, Object, Origin
from agent.core.kubernetes.policy import Action, Conflicts
from tests.agent.kubernetes.cluster import ONE, Hand, config_map, deployment, policy
from tests.agent.kubernetes.kinds import TEXT, Kind, version
from tests.parts.webhook import until

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
def kind(hand: Hand) -> Kind:
    return Kind(hand)


async def seen(hand: Hand, item: Object) -> Any:
    """Return an object of any kind as it is."""
    (desired,) = await hand.desired(item)
    return hand.plane.seen(desired.path)


def service(*ports: Object, **spec: Any) -> Object:
    spec = {"selector": {"app": "web"}, "ports": list(ports)} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def secret(**more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **more}


def container(**more: Any) -> Object:
    """Return a Deployment whose container has this too."""
    item = deployment()
    item["spec"]["template"]["spec"]["containers"][0] |= more
    return item


# -- what a server makes of values ----------------------------------------------------------------------------------


def network_policy() -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "none"},
        "spec": {"podSelector": {}, "ingress": [], "policyTypes": ["Ingress"]},
    }


def many_forms() -> Object:
    """Return a Deployment with values that the API server writes in another way."""
    limits = {"cpu": "1000m", "memory": "1024Mi"}
    item = container(resources={"limits": limits}, ports=[{"containerPort": 80}], env=[{"name": "A", "value": ""}])
    item["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}
    pod = item["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "first", "image": "x", "ports": [{"containerPort": 80}]}]
    pod["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    pod["securityContext"] = {}
    return item


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(many_forms(), id="quantities, numbers or texts, empty maps, ports without a protocol"),
        pytest.param(network_policy(), id="an empty map and an empty list that mean something"),
        pytest.param(service({"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "UDP"}), id="ports"),
        pytest.param(secret(stringData={"a": "x"}), id="texts of a secret"),
        pytest.param(config_map() | {"data": {"a": "x", "b": None}}, id="a null"),
    ],
)
async def test_the_same_again_writes_nothing(hand: Hand, item: Object) -> None:
    """P7, also by the version of the object: however the server writes what Git says."""
    made = await hand.apply(item)
    before = await seen(hand, item)
    again = await hand.apply(item, made)
    after = await seen(hand, item)
    assert (made.action, again.action) == (Action.CREATED, Action.UNCHANGED)
    assert made.record is not None
    assert again.record is not None
    assert made.record.own == again.record.own
    assert before["metadata"]["managedFields"][0] == after["metadata"]["managedFields"][0]


async def test_a_key_that_leaves_a_secrets_texts_leaves_the_secret(hand: Hand) -> None:
    """`stringData` alone would leave it in `data` for ever; where both have a key the text wins."""
    made = await hand.apply(secret(data={"b": b64encode(b"old").decode()}, stringData={"a": "1", "b": "2"}))
    live = hand.live(secret())
    assert live is not None
    assert live["data"] == {name: b64encode(value).decode() for name, value in (("a", b"1"), ("b", b"2"))}
    await hand.apply(secret(stringData={"b": "2"}), made)
    left = hand.live(secret())
    assert left is not None
    assert [*left["data"]] == ["b"]


async def test_a_map_that_becomes_empty_is_emptied(hand: Hand) -> None:
    """And one that somebody else wrote into keeps what is theirs."""
    made = await hand.apply(config_map(k="1"))
    hand.merge(config_map(), {"data": {"theirs": "x"}})
    await hand.apply(config_map(), made)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"theirs": "x"}


async def test_what_kubectl_remembers_is_not_applied(hand: Hand) -> None:
    """Also where it would be too large: as `kubectl get -o yaml` prints it, an object can be kept in Git."""
    await hand.apply(config_map(annotations={LAST_APPLIED: "x" * (300 << 10), "mine": "y"}, k="1"))
    live = hand.live(config_map())
    assert live is not None
    assert live["metadata"]["annotations"] == {"mine": "y"}


# -- items of lists -------------------------------------------------------------------------------------------------


async def test_items_with_the_same_key_are_found_before_they_are_sent(hand: Hand) -> None:
    """The API server says so with a 500; where it knows a list that we do not, its words are passed on, for good."""
    twice = container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])
    manifest = Manifest(item=deepcopy(twice), origin=Origin(path="a.yaml", document=1, line=1))
    (fault,) = normalise([manifest], await hand.discovery.resources(), namespace=hand.namespace).faults
    assert "env[1]: has the same name as" in str(fault)
    secrets = deployment()
    secrets["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": "a"}, {"name": "a"}]
    refused = await hand.fail(secrets)
    assert 'imagePullSecrets: duplicate entries for key [name="a"]; mend the manifest' in refused.problem
    assert not refused.passes


TCP: Final = {"name": "web", "port": 80, "protocol": "TCP"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([TCP], [TCP | {"protocol": "UDP"}], id="another protocol"),
        pytest.param([TCP], [TCP | {"port": 81}], id="another number"),
        pytest.param([TCP], [TCP | {"name": "http"}], id="another name"),
        pytest.param(
            [TCP, TCP | {"name": "b", "port": 81}],
            [TCP | {"name": "b"}, TCP | {"name": "web", "port": 81}],
            id="names change places",
        ),
    ],
)
@pytest.mark.parametrize("whose", ["ours", "somebody's"])
async def test_a_port_of_a_service_is_what_git_says(
    hand: Hand, before: list[Object], after: list[Object], whose: str
) -> None:
    """Number and protocol are the key: an edit by somebody else is another port, of a name that is taken (422)."""
    if whose == "ours":
        made = await hand.apply(service(*before))
    else:
        made = await hand.apply(service(*after))
        hand.put(service(*before))
    await hand.apply(service(*after), made)
    live = hand.live(service())
    assert live is not None
    assert [{name: each[name] for name in TCP} for each in live["spec"]["ports"]] == after


async def test_a_port_without_a_name_is_what_git_says(hand: Hand) -> None:
    """Somebody's is a second one, and two need names (422)."""
    made = await hand.apply(service({"port": 80}))
    hand.put(service({"port": 81}))
    await hand.apply(service({"port": 80}), made)
    live = hand.live(service())
    assert live is not None
    assert [each["port"] for each in live["spec"]["ports"]] == [80]


async def test_what_another_applies_in_our_way_is_named(hand: Hand) -> None:
    """A port of its own, which is not taken from it: a person has to say whose it is."""
    hand.apply_as(service(TCP), "helm")
    refused = await hand.fail(service(TCP | {"port": 81}))
    assert 'spec.ports[1].name: Duplicate value: "web"; set there, too, by helm' in refused.problem


# -- what others write ----------------------------------------------------------------------------------------------


@pytest.fixture
def role(hand: Hand) -> Iterator[Object]:
    """A ClusterRole whose rules a controller puts together, and one that it takes them from."""
    name = f"{hand.namespace}-all"
    root = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    part = {"name": f"{name}-part", "labels": {name: "yes"}}
    api: Object = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    hand.plane.ask("POST", root, api | {"metadata": part, "rules": [rule]})
    selector = {"clusterRoleSelectors": [{"matchLabels": {name: "yes"}}]}
    # In a namespace, as charts have it by mistake: the kind has none.
    metadata = {"name": name, "namespace": hand.namespace}
    own = {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}
    yield api | {"metadata": metadata, "aggregationRule": selector, "rules": [own]}
    for each in (name, f"{name}-part"):
        if hand.plane.seen(f"{root}/{each}") is not None:
            hand.plane.ask("DELETE", f"{root}/{each}")


async def test_rules_that_a_controller_puts_together_stay(hand: Hand, role: Object) -> None:
    """Those that Git has beside an aggregation would take their place again and again."""
    made = await hand.apply(role)
    assert (made.id.namespace, made.action) == ("", Action.CREATED)
    root = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    until(lambda: bool(hand.plane.seen(f"{root}/{made.id.name}")["rules"]), "the rules are put together")
    again = await hand.apply(role, made)
    live = await seen(hand, role)
    assert [each["resources"] for each in live["rules"]] == [["pods"]]
    entry = apply_entry(live, ONE)
    assert entry is not None
    assert "f:rules" not in entry["fieldsV1"]
    assert again.record is not None
    last = await hand.apply(role, again)
    assert last.action is Action.UNCHANGED


@pytest.mark.parametrize("in_git", [{}, {"caBundle": "Cg=="}, {"caBundle": ""}], ids=["none", "a line", "empty"])
async def test_a_bundle_that_another_injects_stays(hand: Hand, in_git: Object) -> None:
    """As cert-manager does it: Git has none, or none that is one, and no apply takes it out."""
    name = f"{hand.namespace}.example.org"
    reference = {"url": "https://127.0.0.1:1/"} | in_git
    webhook = {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": reference,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hand.namespace}},
        "rules": [
            {"apiGroups": ["none.example.org"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}
        ],
    }
    item: Object = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
    made = await hand.apply(item)
    (desired,) = await hand.desired(item)
    try:
        bundle = b64encode(hand.plane.authority.read_bytes()).decode()
        patch = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
        hand.plane.ask(
            "PATCH", f"{desired.path}?fieldManager=cainjector", patch, content="application/json-patch+json"
        )
        again = await hand.apply(item, made)
        live = hand.plane.seen(desired.path)
        assert live["webhooks"][0]["clientConfig"]["caBundle"] == bundle
        last = await hand.apply(item, again)
        assert last.action is Action.UNCHANGED
        assert last.record is not None
        assert last.record.revision == live["metadata"]["resourceVersion"]
    finally:
        hand.plane.ask("DELETE", desired.path)


# -- kinds of others ------------------------------------------------------------------------------------------------


async def test_a_field_that_a_kind_does_not_have_is_an_error(hand: Hand, kind: Kind) -> None:
    """It is never dropped silently: nothing is stored, and the words say which field, and of what."""
    async with kind.installed(version(mode=TEXT)):
        refused = await hand.fail(kind.widget(mode="fast", mood="good"))
        assert ".spec.mood is not in the schema of the kind (its installed CRD" in refused.problem
        assert not refused.passes
        assert hand.live(kind.widget()) is None
    built_in = await hand.fail(deployment(replica=3))
    assert ".spec.replica is not in the schema of the kind" in built_in.problem


async def test_fields_that_a_kind_leaves_open_come_and_go(hand: Hand, kind: Kind) -> None:
    """`x-kubernetes-preserve-unknown-fields`: leaves are owned, so what somebody else changes is undone."""
    async with kind.installed(version(free=True)):
        ours = kind.widget(deep={"a": 1, "b": [1, {"c": None}], "e": {}}, last="x")
        made = await hand.apply(ours)
        again = await hand.apply(ours, made)
        assert again.action is Action.UNCHANGED
        hand.merge(ours, {"spec": {"deep": {"a": 2, "theirs": 1}}})
        await hand.apply(kind.widget(deep={"a": 1, "b": [1, {"c": None}], "e": {}}), again)
        live = hand.live(ours)
    assert live is not None
    assert live["spec"] == {"deep": {"a": 1, "b": [1, {}], "e": {}, "theirs": 1}}


async def test_a_list_without_keys_is_owned_as_a_whole(hand: Hand, kind: Kind) -> None:
    """What a CRD says nothing of: an addition of somebody else is a change of ours, on first touch and later."""
    async with kind.installed(version(names={"type": "array", "items": TEXT})):
        hand.apply_as(kind.widget(names=["theirs"]), "helm")
        refused = await hand.fail(kind.widget(names=["ours"]), to=policy(conflicts=Conflicts.FAIL))
        assert "others own what Git sets: .spec.names of helm" in refused.problem
        made = await hand.apply(kind.widget(names=["ours"]))
        assert "taken over: .spec.names of helm" in made.notes
        hand.merge(kind.widget(), {"spec": {"names": ["ours", "theirs"]}})
        await hand.apply(kind.widget(names=["ours"]), made)
        live = hand.live(kind.widget())
    assert live is not None
    assert live["spec"]["names"] == ["ours"]


async def test_a_new_version_of_a_kind_may_have_new_fields(hand: Hand, kind: Kind) -> None:
    """What was applied at the old one is compared there, without them: 500, until all entries are at the new one."""
    old, new = version(mode=TEXT, gone=TEXT, storage=False), version("v2", mode=TEXT, gone=TEXT, more=TEXT)
    new["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["given"] = TEXT | {"default": "x"}
    async with kind.installed(version(mode=TEXT, gone=TEXT)):
        made = await hand.apply(kind.widget(mode="fast", gone="soon"))
        hand.apply_as(kind.widget() | {"metadata": {"name": "w", "labels": {"by": "helm"}}}, "helm")
        await kind.change(old, new)
        moved = await hand.apply(kind.widget("v2", mode="fast", more="y"), made)
        live = hand.live(kind.widget("v2"))
        again = await hand.apply(kind.widget("v2", mode="fast", more="y"), moved)
    assert live is not None
    assert live["spec"] == {"mode": "fast", "more": "y", "given": "x"}
    assert live["metadata"]["labels"]["by"] == "helm"
    assert {entry["apiVersion"] for entry in entries(live)} == {f"{kind.group}/v2"}
    assert again.action is Action.UNCHANGED


@pytest.mark.parametrize("known", [True, False])
async def test_what_was_applied_at_a_version_that_is_gone_is_ours_still(hand: Hand, kind: Kind, known: bool) -> None:
    """The API server cannot read that entry any more, and says 500 to each apply. What Git drops then goes, too."""
    old, new = version(mode=TEXT, gone=TEXT, storage=False), version("v2", mode=TEXT, gone=TEXT)
    async with kind.installed(version(mode=TEXT, gone=TEXT)):
        made = await hand.apply(kind.widget(mode="fast", gone="soon"))
        await kind.change(old, new)
        hand.plane.ask("PUT", hand.path(kind.widget("v2")), hand.live(kind.widget("v2")))
        kind.forget("v1")
        await kind.change(new)
        await hand.apply(kind.widget("v2", mode="fast"), made if known else None)
        live = hand.live(kind.widget("v2"))
    assert live is not None
    assert live["spec"] == {"mode": "fast"}


async def test_a_kind_with_a_bundle_that_is_none_is_served(hand: Hand, kind: Kind) -> None:
    """Tools put a placeholder there for others to fill; an API server would not establish the kind."""
    definition = kind.definition(version(mode=TEXT))
    webhook = {
        "clientConfig": {"url": "https://127.0.0.1:1/", "caBundle": "Cg=="},
        "conversionReviewVersions": ["v1"],
    }
    definition["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    (desired,) = await hand.desired(definition)
    async with kind.installed(version(mode=TEXT)):
        made = await hand.apply(definition)
        assert made.action is Action.CONFIGURED
        live = hand.plane.seen(desired.path)
        established = {each["type"]: each["status"] for each in live["status"]["conditions"]}
        assert established["Established"] == "True"
        assert "caBundle" not in live["spec"]["conversion"]["webhook"]["clientConfig"]
