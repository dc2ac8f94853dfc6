"""JSON pointers: what they mean, and what is no pointer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.kubernetes.ignoring import IgnoreRule, ignored
from agent.core.kubernetes.object import GroupKind, ObjectId
from agent.core.kubernetes.pointer import MISSING, at, put, read_pointer, shown

ITEM = {"spec": {"replicas": 2, "list": [{"a": 1}, {"b": 2}], "only": {"one": 1}}, "metadata": {"a/b": {"c~d": "x"}}}


@pytest.mark.parametrize(
    ("text", "pointer", "found", "people"),
    [
        ("/spec/replicas", ("spec", "replicas"), 2, "spec.replicas"),
        ("/spec/list/1/b", ("spec", "list", "1", "b"), 2, "spec.list.1.b"),
        ("/metadata/a~1b/c~0d", ("metadata", "a/b", "c~d"), "x", "metadata[a/b][c~d]"),
        ("/spec/list/2", ("spec", "list", "2"), MISSING, "spec.list.2"),
        ("/spec/replicas/more", ("spec", "replicas", "more"), MISSING, "spec.replicas.more"),
        ("/spec/list/-", ("spec", "list", "-"), MISSING, "spec.list[-]"),
    ],
)
def test_a_pointer_means_a_field(text: str, pointer: tuple[str, ...], found: Any, people: str) -> None:
    assert read_pointer(text) == pointer
    assert at(ITEM, pointer) == found
    assert shown(pointer) == people


@pytest.mark.parametrize(
    "text",
    ["", "/", "spec/replicas", "/spec//a", "/spec/", "/a~b", "/a~2", "/kind", "/metadata", "/metadata/name"],
)
def test_what_is_no_pointer_or_names_the_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        read_pointer(text)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("/spec/replicas", {"list": [{"a": 1}, {"b": 2}], "only": {"one": 1}}),
        ("/spec/only/one", {"replicas": 2, "list": [{"a": 1}, {"b": 2}]}),
        ("/spec/list/0", {"replicas": 2, "list": [{"b": 2}], "only": {"one": 1}}),
        ("/spec/list/0/a", {"replicas": 2, "list": [{"b": 2}], "only": {"one": 1}}),
    ],
)
def test_what_is_taken_out_takes_what_is_empty_then_with_it(text: str, after: Any) -> None:
    """An empty mapping would be a field of ours."""
    assert put(ITEM, read_pointer(text), MISSING)["spec"] == after
    assert put({"spec": ITEM["spec"]}, read_pointer("/spec"), MISSING) == {}


_NAMES = st.text("ab~/", min_size=1, max_size=3)
_ITEMS = st.recursive(
    st.integers(), lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3)
)


@given(st.dictionaries(_NAMES, _ITEMS, min_size=1), st.data(), st.integers())
def test_what_was_put_is_there_and_nothing_else_changed(
    item: dict[str, Any], data: st.DataObject, value: int
) -> None:
    """The law of `put` and `at`; the item itself stays as it was."""
    before = repr(item)
    steps: list[str] = []
    inside: Any = item
    while isinstance(inside, dict | list) and inside and (not steps or data.draw(st.booleans())):
        name = data.draw(st.sampled_from([*inside] if isinstance(inside, dict) else [*range(len(inside))]))
        steps.append(str(name))
        inside = inside[name]
    pointer = tuple(steps)
    changed = put(item, pointer, value)
    assert at(changed, pointer) == value
    assert put(changed, pointer, inside) == item
    assert repr(item) == before


def test_a_rule_is_for_what_all_of_it_fits() -> None:
    web = ObjectId(GroupKind("apps", "Deployment"), "shop", "web")
    path = ("spec", "replicas")
    fits = [IgnoreRule(paths=(path,)), IgnoreRule(paths=(path,), kind="Deployment", group="apps", namespace="shop")]
    others = [
        IgnoreRule(paths=(path,), kind="StatefulSet"),
        IgnoreRule(paths=(path,), kind="Deployment", group=""),
        IgnoreRule(paths=(path,), kind="Deployment", name="api"),
    ]
    assert ignored([*others, *fits], web) == (path,)
    assert ignored(others, web) == ()
