"""Which objects say of themselves that a Sync made them: label and entry together, and nothing less (M5)."""

from copy import deepcopy
from typing import Any, Final

import pytest

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.object import GroupKind
from agent.core.kubernetes.ownership import field_manager, made_by

SITE: Final = field_manager("shop/site")
SET: Final = "applyset-site-v1"
KIND: Final = GroupKind("apps", "Deployment")
ENTRY: Final = {
    "manager": SITE,
    "operation": "Apply",
    "apiVersion": "apps/v1",
    "fieldsType": "FieldsV1",
    "fieldsV1": {},
}


def shown(*entries: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return what a list shows of an object of `site`, with these entries of managers."""
    labels = {PART_OF: SET}
    return {
        "metadata": {"name": "web", "namespace": "shop", "labels": labels, "managedFields": [*entries], **metadata}
    }


def names(item: dict[str, Any], kind: GroupKind = KIND) -> list[tuple[str, str, str, str]]:
    return [(made.parent, made.manager, str(made.id), made.version) for made in made_by(item, kind)]


def test_label_and_entry_together_say_who_made_it() -> None:
    assert names(shown(ENTRY)) == [(SET, SITE, "Deployment/shop/web", "v1")]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(shown(), id="a copy with our labels, of somebody who does not apply"),
        pytest.param(shown(ENTRY | {"manager": "kubectl"}), id="another's entry"),
        pytest.param(shown(ENTRY | {"operation": "Update"}), id="an update under our name"),
        pytest.param(shown(ENTRY, labels={}), id="without the label"),
        pytest.param(shown(ENTRY | {"subresource": "scale"}), id="only a subresource was applied"),
        pytest.param(
            shown(ENTRY, ownerReferences=[{"kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}]),
            id="a controller made it from a template with our labels",
        ),
        pytest.param(shown(ENTRY | {"apiVersion": "extensions/v1beta1"}), id="it was applied in another group"),
    ],
)
def test_anything_less_does_not(item: dict[str, Any]) -> None:
    assert names(item) == []


def test_an_owner_that_controls_nothing_is_no_obstacle() -> None:
    item = shown(ENTRY, ownerReferences=[{"kind": "Shop", "name": "shop", "uid": "1"}])
    assert len(names(item)) == 1


def test_while_it_is_handed_over_it_is_of_both() -> None:
    other = deepcopy(ENTRY) | {"manager": field_manager("shop/other")}
    assert [made[1] for made in names(shown(ENTRY, other))] == [SITE, field_manager("shop/other")]
