"""Rule M1 on a real API server: what a watch tells is enough to know which objects need no request.

Each case does something to an applied object, asks the rule, and then applies all the same: where that writes, the
rule had to say so. A PATCH for nothing is allowed only where it is known to be needed to make sure.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import pytest

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.fields import apply_entry
from agent.core.kubernetes.insync import Verdict, Wanted, judge
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.options import How
from agent.core.kubernetes.ownership import desired_hash
from agent.core.kubernetes.seen import Marked
from tests.agent.kubernetes.cluster import ONE, Hand, config_map, deployment
from tests.agent.kubernetes.follower import follower

_SERVICE: Final[Object] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}
_ROLE: Final[Object] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "web"},
    "rules": [{"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get"]}],
}
_ACCOUNT: Final[Object] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
_MAP: Final = config_map("web", annotations={"example.org/note": "x" * 100}, k="1", l="2")


def _nothing(_: Hand, __: Object) -> None:
    pass


def _merge(patch: Object, *, manager: str = "somebody") -> Callable[[Hand, Object], None]:
    return lambda hand, item: hand.merge(item, deepcopy(patch), manager)


def _status(hand: Hand, item: Object) -> None:
    hand.plane.say_status(hand.path(item), {"replicas": 1, "observedGeneration": 1})


def _status_and_label(hand: Hand, item: Object) -> None:
    _status(hand, item)
    hand.merge(item, {"metadata": {"labels": {"theirs": "1"}}})


def _own(hand: Hand, item: Object) -> None:
    """Make it a dependent of something that is there."""
    root = hand.plane.ask("GET", f"/api/v1/namespaces/{hand.namespace}/configmaps/kube-root-ca.crt")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": root["metadata"]["uid"]}
    hand.merge(item, {"metadata": {"ownerReferences": [owner]}})


def _scale(hand: Hand, item: Object) -> None:
    body = {"spec": {"replicas": 3}}
    path = f"{hand.path(item)}/scale?fieldManager=autoscaler"
    hand.plane.ask("PATCH", path, body, content="application/merge-patch+json")


def _apply(more: Object, *, manager: str = "another") -> Callable[[Hand, Object], None]:
    def do(hand: Hand, item: Object) -> None:
        bare = {name: item[name] for name in ("apiVersion", "kind")} | {"metadata": {"name": "web"}}
        hand.apply_as({**bare, **deepcopy(more)}, manager)

    return do


def _delete(hand: Hand, item: Object) -> None:
    hand.plane.ask("DELETE", hand.path(item))


def _hold_and_delete(hand: Hand, item: Object) -> None:
    hand.merge(item, {"metadata": {"finalizers": ["example.org/hold"]}})
    hand.plane.ask("DELETE", hand.path(item))


def _make_anew(hand: Hand, item: Object) -> None:
    live = hand.live(item)
    assert live is not None
    _delete(hand, item)
    for name in ("uid", "resourceVersion", "managedFields", "creationTimestamp", "generation"):
        live["metadata"].pop(name, None)
    live.pop("status", None)
    if "spec" in live:
        live["spec"].pop("clusterIP", None)
        live["spec"].pop("clusterIPs", None)
    hand.create(live)


def _reset_managers(hand: Hand, item: Object) -> None:
    hand.merge(item, {"metadata": {"managedFields": [{}]}})


def _forge(hand: Hand, item: Object) -> None:
    """Write a field of ours, and put back an entry like ours, with its time."""
    live = hand.live(item)
    assert live is not None
    before = live["metadata"]["managedFields"]
    hand.merge(item, {"data": {"k": "forged"}})
    hand.merge(item, {"metadata": {"managedFields": before}})


def _reorder(hand: Hand, item: Object) -> None:
    rules = [{"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get"]}]
    hand.merge(item, {"rules": rules})


def _twice_in_a_second(hand: Hand, item: Object) -> None:
    """Somebody changes it and back, and changes it again, as fast as can be."""
    for value in ("2", "1", "3"):
        hand.merge(item, {"data": {"k": value}})


def _there_and_back(hand: Hand, item: Object) -> None:
    hand.merge(item, {"data": {"k": "2"}})
    hand.merge(item, {"data": {"k": "1"}})


@dataclass(frozen=True, slots=True)
class Case:
    item: Object
    done: Callable[[Hand, Object], None]
    needless: bool = False
    """Whether a PATCH is sent though it writes nothing: only a PATCH tells that what moved is not ours."""


CASES: Final = {
    "nothing": Case(_MAP, _nothing),
    "nothing, of a kind with a generation": Case(deployment(), _nothing),
    "a value": Case(_MAP, _merge({"data": {"k": "2"}})),
    "a value, by a person": Case(_MAP, _merge({"data": {"k": "2"}}, manager="kubectl-edit")),
    "a value removed": Case(_MAP, _merge({"data": {"k": None}})),
    "a value there and back": Case(_MAP, _there_and_back),
    "a value, thrice in a second": Case(_MAP, _twice_in_a_second),
    "a key beside ours": Case(_MAP, _merge({"data": {"theirs": "1"}}), needless=True),
    "a key beside ours, by a person": Case(_MAP, _merge({"data": {"theirs": "1"}}, manager="kubectl-edit")),
    "a label beside ours": Case(_MAP, _merge({"metadata": {"labels": {"theirs": "1"}}}), needless=True),
    "our label": Case(_SERVICE, _merge({"metadata": {"labels": {"app": "other"}}})),
    "our label removed": Case(_SERVICE, _merge({"metadata": {"labels": {"app": None}}})),
    "our annotation": Case(_MAP, _merge({"metadata": {"annotations": {"example.org/note": "y" * 100}}})),
    "the label of the set": Case(_MAP, _merge({"metadata": {"labels": {PART_OF: "another"}}})),
    "the label of the set removed": Case(_MAP, _merge({"metadata": {"labels": {PART_OF: None}}})),
    "an owner": Case(_MAP, _own, needless=True),
    "status": Case(deployment(), _status),
    "status and a label beside ours": Case(deployment(), _status_and_label),
    "replicas that Git has, by scale": Case(deployment(replicas=1), _scale),
    "replicas that Git has not, by scale": Case(deployment(), _scale, needless=True),
    "an image": Case(
        deployment(),
        _merge({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "example.org/web:2"}]}}}}),
    ),
    "a defaulted field": Case(deployment(), _merge({"spec": {"minReadySeconds": 5}}), needless=True),
    "a port's name": Case(_SERVICE, _merge({"spec": {"ports": [{"port": 80, "name": "http"}]}}), needless=True),
    "a port beside ours": Case(
        _SERVICE,
        _merge({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}}),
        needless=True,
    ),
    "the order of an atomic list": Case(_ROLE, _reorder),
    "an atomic list": Case(_ROLE, _merge({"rules": []})),
    "an account's secrets": Case(_ACCOUNT, _merge({"secrets": [{"name": "token"}]}), needless=True),
    "applied by another, with other fields": Case(_MAP, _apply({"data": {"theirs": "1"}}), needless=True),
    "applied by another, with ours": Case(_MAP, _apply({"data": {"k": "2"}})),
    "applied by another, just so": Case(_MAP, _apply({"data": {"k": "1"}}), needless=True),
    "deleted": Case(_MAP, _delete),
    "being deleted": Case(_MAP, _hold_and_delete),
    "deleted and made anew just so": Case(_MAP, _make_anew),
    "deleted and made anew just so, with a generation": Case(deployment(), _make_anew),
    "managers reset": Case(_MAP, _reset_managers),
    "managers reset, with a generation": Case(deployment(), _reset_managers),
    "an entry forged": Case(_MAP, _forge),
}


@pytest.mark.parametrize("name", CASES)
async def test_no_drift_is_missed_and_no_request_is_wasted(name: str, hand: Hand) -> None:
    case = CASES[name]
    item = deepcopy(case.item)
    made = await hand.apply(item)
    (wanted,) = await hand.desired(item)
    async with follower(hand.client, wanted.resource, hand.namespace) as follows:
        case.done(hand, item)
        live = hand.live(item)
        labels = (live["metadata"].get("labels") or {}) if live is not None else {}
        await follows.sees("web", live if PART_OF in labels else None)
        text = desired_hash([wanted.item, ()], b"key")
        how = wanted.options.how
        what = Wanted(desired=text, manager=ONE, marked=Marked.by(wanted.item), takes_over=how is How.OVERRIDE)
        verdict = judge(what, made.record, follows.seen("web"), horizon=follows.collection.horizon)
        if live is not None and live["metadata"].get("finalizers"):
            assert verdict is Verdict.APPLY
            hand.merge(item, {"metadata": {"finalizers": None}})
            return
        again = await hand.apply(item, made)
        after = hand.live(item)
        assert after is not None
        wrote = _ours(live) != _ours(after)
        assert not (wrote and verdict is Verdict.IN_SYNC), "a drift was missed"
        assert (verdict is not Verdict.IN_SYNC and not wrote) == case.needless, (verdict, again.action)


def _ours(item: Object | None) -> Object | None:
    """Return an object without what controllers write meanwhile."""
    if item is None:
        return None
    metadata = {name: each for name, each in item["metadata"].items() if name not in _OTHERS}
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    metadata |= {"annotations": annotations, "ours": apply_entry(item, ONE)}
    return {name: each for name, each in item.items() if name != "status"} | {"metadata": metadata}


_OTHERS: Final = ("managedFields", "resourceVersion")
