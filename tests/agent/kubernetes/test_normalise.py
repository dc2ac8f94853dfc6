"""From what Git has to what is applied: faults with places, and the form that SSA needs."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.manifests import read
from agent.core.kubernetes.normalise import Desired, normalise
from agent.core.kubernetes.object import GroupKind, Manifest, Object, Origin
from agent.core.kubernetes.resources import Resource, Resources


def _resource(group: str, kind: str, plural: str, *, namespaced: bool = True, version: str = "v1") -> Resource:
    return Resource(kind=GroupKind(group, kind), version=version, plural=plural, namespaced=namespaced)


SERVED = Resources(
    [
        _resource("", "ConfigMap", "configmaps"),
        _resource("", "Secret", "secrets"),
        _resource("", "Service", "services"),
        _resource("", "Pod", "pods"),
        _resource("", "Namespace", "namespaces", namespaced=False),
        _resource("apps", "Deployment", "deployments"),
        _resource("batch", "CronJob", "cronjobs"),
        _resource("apiregistration.k8s.io", "APIService", "apiservices", namespaced=False),
        _resource("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", namespaced=False),
        _resource("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False),
    ]
)


def made(text: str) -> tuple[Desired, ...]:
    """Return what comes of a file."""
    manifests, faults = read("a.yaml", text.encode())
    assert not faults, faults
    found = normalise(manifests, SERVED, namespace="shop")
    assert not found.faults, found.faults
    return found.desired


def wrong(text: str) -> list[str]:
    """Return the faults of a file."""
    manifests, faults = read("a.yaml", text.encode())
    assert not faults, faults
    found = normalise(manifests, SERVED, namespace="shop")
    assert (found.desired, found.unserved) == ((), ())
    return [str(each) for each in found.faults]


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("a: 1", "a.yaml:1: apiVersion: is missing", id="no version"),
        pytest.param("apiVersion: v1\nkind: 5\n", "a.yaml:1: kind: is missing, or no text", id="no kind"),
        pytest.param("apiVersion: v1\nkind: ConfigMap\n", "metadata: is missing", id="no metadata"),
        pytest.param(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}", "metadata.name: is missing, or no text", id="name"
        ),
        pytest.param(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}",
            "metadata.generateName: cannot",
            id="names",
        ),
        pytest.param(CONFIG_MAP + "  namespace: 1", "metadata.namespace: is no text", id="namespace"),
        pytest.param(CONFIG_MAP + "  labels: {on: 1}", "metadata.labels[true]: is no text: quote it", id="a label"),
        pytest.param(CONFIG_MAP + "  annotations: [a]", "metadata.annotations: is no mapping", id="annotations"),
        pytest.param(
            CONFIG_MAP + "  labels: {applyset.kubernetes.io/part-of: x}",
            "metadata.labels[applyset.kubernetes.io/part-of]: is bellpull's to set",
            id="somebody's ApplySet",
        ),
        pytest.param(
            f"{CONFIG_MAP}---\n{CONFIG_MAP}  namespace: shop",
            "a.yaml:6 (document 2): ConfigMap/shop/a is also in a.yaml:1",
            id="one object twice",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: 1}",
            "stringData[a]: is no text: quote it",
            id="a number in a secret",
        ),
        pytest.param(
            "apiVersion: v1\nkind: List\nitems: [5]", "items[0]: is no object", id="a list of something else"
        ),
        pytest.param(
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
            "spec: {ports: [{port: 80, name: a}, {port: 80, name: b, protocol: TCP}]}",
            "spec.ports[1]: has the same port and protocol as spec.ports[0]",
            id="a port twice",
        ),
        pytest.param(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: {spec: "
            "{initContainers: [{name: a, env: [{name: A}, {name: B}, {name: A}]}]}}}}}",
            "spec.jobTemplate.spec.template.spec.initContainers[0].env[2]: has the same name as",
            id="a variable twice",
        ),
    ],
)
def test_what_is_wrong_says_where(text: str, fault: str) -> None:
    """P11: the file, the document and the field."""
    assert any(fault in each for each in wrong(text)), wrong(text)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        pytest.param(
            {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "b"}},
            "Widget.example.org is not served by the cluster, and no CRD among the manifests defines it",
            id="a kind that is not there",
        ),
        pytest.param(
            {"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "b", "namespace": "bar"}},
            "is not served at apps/v1beta1: the cluster has apps/v1",
            id="a version that is no more",
        ),
    ],
)
def test_what_is_not_served_keeps_nothing_else(item: Object, problem: str) -> None:
    """It may have a namespace or none: its kind is not known."""
    there = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    found = normalise([manifest(there), manifest(item)], SERVED, namespace="shop")
    (unserved,) = found.unserved
    namespace = item["metadata"].get("namespace", "shop")
    assert ([each.id.name for each in found.desired], unserved.problem) == (["a"], problem)
    assert [(each.namespace, each.name) for each in unserved.ids] == [(namespace, "b"), ("", "b")]
    assert unserved.origin == Origin(path="a.yaml", document=1, line=1)


def test_all_faults_are_found_at_once() -> None:
    text = f"a: 1\n---\n{CONFIG_MAP}  labels: {{a: 1, b: 2}}\n---\n{CONFIG_MAP}---\nkind: Pod\n"
    assert len(wrong(text)) == 3 + 2 + 2


def test_no_fault_quotes_a_value() -> None:
    """It may be a secret."""
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {a: 4711}}\nstringData: {a: 4711}\n"
    assert "4711" not in str(wrong(text))


def test_what_is_the_servers_is_left_out() -> None:
    """As `kubectl get -o yaml` prints it, an object can be kept in Git."""
    text = (
        CONFIG_MAP + "  uid: x\n  resourceVersion: '1'\n  generation: 1\n  creationTimestamp: null\n"
        "  managedFields: []\n  annotations: {kubectl.kubernetes.io/last-applied-configuration: x}\n"
        "  labels: {a: b}\nstatus: {}\ndata: {a: x, b: null}\nlist: [null, {c: null}]\n"
    )
    (desired,) = made(text)
    metadata = {"name": "a", "namespace": "shop", "labels": {"a": "b"}}
    assert desired.item == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"a": "x"},
        "list": [None, {}],
    }


def test_namespaces_follow_the_scope() -> None:
    """One that is missing is given; one of a kind without namespaces is taken away."""
    text = (
        f"{CONFIG_MAP}---\n{CONFIG_MAP}  namespace: other\n---\n"
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, namespace: shop}"
    )
    assert [str(each.id) for each in made(text)] == ["ConfigMap/shop/a", "ConfigMap/other/a", "Namespace/shop"]
    assert [each.path for each in made(text)] == [
        "/api/v1/namespaces/shop/configmaps/a",
        "/api/v1/namespaces/other/configmaps/a",
        "/api/v1/namespaces/shop",
    ]


def test_a_kind_is_known_from_its_crd_in_the_same_set() -> None:
    text = """\
apiVersion: example.org/v1
kind: Widget
metadata: {name: w}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true}]
"""
    assert made(text)[0].path == "/apis/example.org/v1/widgets/w"


def test_lists_are_their_items() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"
    )
    assert [str(each.id) for each in made(text)] == ["ConfigMap/shop/a", "ConfigMap/shop/b"]


def test_the_form_that_ssa_needs() -> None:
    """research: stringData, ports without a protocol, aggregated roles, a CA bundle that is none."""
    (secret,) = made(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: b2xk, b: Yg==}\nstringData: {a: new}\n"
    )
    assert secret.item["data"] == {"a": b64encode(b"new").decode(), "b": "Yg=="}
    assert "stringData" not in secret.item
    (service,) = made(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}, {port: 80, protocol: UDP}]}"
    )
    assert service.item["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]
    (deployment,) = made(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: "
        "{initContainers: [{name: a, ports: [{containerPort: 1}]}], "
        "containers: [{name: a, ports: [{containerPort: 2}]}]}}}"
    )
    spec = deployment.item["spec"]["template"]["spec"]
    assert spec["initContainers"][0]["ports"] == [{"containerPort": 1, "protocol": "TCP"}]
    assert spec["containers"][0]["ports"] == [{"containerPort": 2, "protocol": "TCP"}]
    (role,) = made(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n"
        "aggregationRule: {clusterRoleSelectors: []}\nrules: []"
    )
    assert "rules" not in role.item
    (crd,) = made(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n"
        "spec: {conversion: {webhook: {clientConfig: {caBundle: Cg==, url: https://x}}}}"
    )
    assert crd.item["spec"]["conversion"]["webhook"]["clientConfig"] == {"url": "https://x"}
    (service,) = made(
        "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: a}\n"
        "spec: {caBundle: Cg==, group: x}"
    )
    assert service.item["spec"] == {"group": "x"}


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        pytest.param({"data": {"a": "x" * (1 << 20)}}, "data: has more than 1048576 bytes", id="data"),
        pytest.param({"other": "x" * (3 << 20)}, "and an API server takes 3145728", id="a body"),
        pytest.param(
            {"metadata": {"name": "a", "annotations": {"a": "x" * (256 << 10)}}},
            "metadata.annotations: have",
            id="annotations",
        ),
    ],
)
def test_what_is_too_large_is_found_before_it_is_sent(item: Object, problem: str) -> None:
    whole = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}} | item
    assert problem in str(normalise([manifest(whole)], SERVED, namespace="shop").faults[0])


def manifest(item: Object) -> Manifest:
    return Manifest(item=item, origin=Origin(path="a.yaml", document=1, line=1))


KEYS = st.sampled_from(["spec", "template", "containers", "ports", "env", "name", "items", "data", "stringData", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
KINDS = st.sampled_from(
    [
        ("v1", "Secret"),
        ("v1", "Service"),
        ("v1", "Pod"),
        ("v1", "List"),
        ("apps/v1", "Deployment"),
        ("batch/v1", "CronJob"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("apiregistration.k8s.io/v1", "APIService"),
    ]
)


@given(KINDS, st.dictionaries(KEYS, JSON, max_size=5), JSON | st.just({"name": "a"}))
def test_no_object_is_an_exception(kind: tuple[str, str], item: dict[str, Any], metadata: Any) -> None:
    whole = item | {"apiVersion": kind[0], "kind": kind[1], "metadata": metadata}
    found = normalise([manifest(whole)], SERVED, namespace="shop")
    assert not ((found.desired or found.unserved) and found.faults)


@given(KINDS, st.dictionaries(KEYS, JSON, max_size=5))
def test_what_is_normal_stays_as_it_is(kind: tuple[str, str], item: dict[str, Any]) -> None:
    """Applying the law twice is applying it once."""
    whole = item | {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "a"}}
    once = normalise([manifest(whole)], SERVED, namespace="shop").desired
    again = normalise([each.manifest for each in once], SERVED, namespace="other").desired
    assert [each.item for each in again] == [each.item for each in once]
