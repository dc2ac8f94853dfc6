"""ApplySet ids, stages, options and fields: tables and laws."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.kubernetes.applyset import applyset_id
from agent.core.kubernetes.conflicts import stands_in_the_way
from agent.core.kubernetes.fields import Fields, paths, union
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import GroupKind, Manifest, ObjectId, Origin
from agent.core.kubernetes.options import How, Options, options_of
from agent.core.kubernetes.ownership import field_manager
from agent.core.kubernetes.resources import Resource
from agent.core.kubernetes.stages import deletion_stages, rank, stages

RBAC = "rbac.authorization.k8s.io"


def test_the_id_of_an_applyset_is_kubectls() -> None:
    """The example that was made with kubectl."""
    parent = ObjectId(GroupKind("", "Secret"), "test", "my-set")
    assert applyset_id(parent) == "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(("", "Namespace"), ("", "ConfigMap"), id="a namespace and what is in it"),
        pytest.param(("apiextensions.k8s.io", "CustomResourceDefinition"), ("a.b", "Widget"), id="a kind"),
        pytest.param((RBAC, "Role"), (RBAC, "RoleBinding"), id="a role and its binding"),
        pytest.param((RBAC, "ClusterRole"), (RBAC, "ClusterRoleBinding"), id="the same of the cluster"),
        pytest.param(("storage.k8s.io", "StorageClass"), ("", "PersistentVolumeClaim"), id="a class"),
        pytest.param(("", "ServiceAccount"), ("", "Pod"), id="an account and a pod"),
        pytest.param(("", "Secret"), ("apps", "Deployment"), id="configuration and a workload"),
        pytest.param(
            ("apps", "Deployment"),
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
            id="a webhook after what answers it",
        ),
    ],
)
def test_what_an_api_server_needs_comes_first(before: tuple[str, str], after: tuple[str, str]) -> None:
    assert rank(GroupKind(*before)) < rank(GroupKind(*after))


KINDS = st.sampled_from(
    [
        GroupKind("", "Namespace"),
        GroupKind("", "Secret"),
        GroupKind("apps", "Deployment"),
        GroupKind("a.b", "Widget"),
        GroupKind("apiregistration.k8s.io", "APIService"),
    ]
)
IDS = st.lists(st.builds(ObjectId, KINDS, st.just("shop"), st.text("ab", min_size=1)), unique=True)


def desired(which: ObjectId) -> Desired:
    resource = Resource(kind=which.kind, version="v1", plural="x", namespaced=True)
    manifest = Manifest(item={}, origin=Origin(path="a", document=1, line=1))
    return Desired(id=which, manifest=manifest, resource=resource, options=Options())


@given(IDS)
def test_every_object_is_in_one_stage_and_the_stages_are_in_order(ids: list[ObjectId]) -> None:
    """Deletion has the same stages, the other way."""
    applied = [[each.id for each in stage] for stage in stages(desired(which) for which in ids)]
    assert sorted(which for stage in applied for which in stage) == sorted(ids)
    assert all(applied)
    ranks = [{rank(which.kind) for which in stage} for stage in applied]
    assert all(len(each) == 1 for each in ranks)
    assert [min(each) for each in ranks] == sorted(min(each) for each in ranks)
    assert [sorted(stage) for stage in reversed(applied)] == [list(stage) for stage in deletion_stages(ids)]


@pytest.mark.parametrize(
    ("annotations", "options"),
    [
        pytest.param({}, Options(), id="nothing"),
        pytest.param({"bellpull.dev/apply": "merge"}, Options(how=How.MERGE), id="merge"),
        pytest.param({"bellpull.dev/apply": "sideways"}, Options(), id="a word that is none"),
        pytest.param(
            {"bellpull.dev/force": "enabled", "bellpull.dev/adopt": "enabled"}, Options(force=True, adopt=True)
        ),
        pytest.param({"bellpull.dev/force": "cascade"}, Options(force=True, cascade=True), id="with all it holds"),
        pytest.param({"bellpull.dev/prune": "disabled"}, Options(prune=False), id="kept"),
        pytest.param({"kustomize.toolkit.fluxcd.io/ssa": "Merge"}, Options(how=How.MERGE), id="Flux's merge"),
        pytest.param({"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}, Options(how=How.IF_NOT_PRESENT)),
        pytest.param({"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}, Options(how=How.IGNORE), id="Flux's ignore"),
        pytest.param({"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}, Options(how=How.IGNORE), id="Flux's off"),
        pytest.param({"kustomize.toolkit.fluxcd.io/force": "Enabled"}, Options(force=True), id="Flux's force"),
        pytest.param({"kustomize.toolkit.fluxcd.io/prune": "disabled"}, Options(prune=False), id="Flux's prune"),
    ],
)
def test_what_an_object_asks_for(annotations: dict[str, str], options: Options) -> None:
    """In its annotations or its labels."""
    assert options_of({"metadata": {"annotations": annotations}}) == options
    assert options_of({"metadata": {"labels": annotations}}) == options


STEPS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', "."])
FIELDS: st.SearchStrategy[Fields] = st.recursive(
    st.just({}), lambda inner: st.dictionaries(STEPS, inner, max_size=3), max_leaves=12
)


@given(FIELDS, FIELDS, FIELDS)
def test_union_is_that_of_sets(one: Fields, other: Fields, third: Fields) -> None:
    assert union(one, one) == one
    assert union(one, other) == union(other, one)
    assert union(union(one, other), third) == union(one, union(other, third))


def test_fields_are_shown_as_people_write_them() -> None:
    fields: dict[str, Any] = {
        "f:metadata": {"f:labels": {"f:a.b/c": {}}},
        "f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}, "f:set": {'v:"x"': {}}},
    }
    assert sorted(paths(fields)) == [
        ".metadata.labels[a.b/c]",
        '.spec.containers[name="web"].image',
        '.spec.set[="x"]',
    ]


@pytest.mark.parametrize(
    ("field", "stands"),
    [
        pytest.param("spec.volumes[0].hostPath", True, id="the field"),
        pytest.param("spec.volumes[0].hostPath.path", True, id="below it"),
        pytest.param("spec.volumes", True, id="above it"),
        pytest.param("spec.volumes[0].hostPathX", False, id="another"),
        pytest.param("", False, id="none"),
    ],
)
def test_who_stands_in_the_way(field: str, stands: bool) -> None:
    """M4; what applied it, or wrote a subresource, does not."""
    fields: dict[str, Any] = {"f:spec": {"f:volumes": {'k:{"name":"v"}': {"f:hostPath": {}}}}}
    entry = {"manager": "somebody", "operation": "Update", "fieldsV1": fields}
    assert stands_in_the_way(entry, [field]) is stands
    assert not stands_in_the_way(entry | {"operation": "Apply"}, [field])
    assert not stands_in_the_way(entry | {"subresource": "status"}, [field])


def test_a_field_manager_fits() -> None:
    """128 bytes at most; long names stay different."""
    one, other = (field_manager(f"default/{'a' * 200}{end}") for end in "xy")
    assert field_manager("shop/web") == "bellpull/shop/web"
    assert len(one) == len(other) == 128
    assert one != other
