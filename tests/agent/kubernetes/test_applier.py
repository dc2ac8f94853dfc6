"""One object on a real API server: whose it is, what others did to it, and what may not change (M3, M4, M8, M12)."""

import asyncio
from typing import Any

import pytest

from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import differences
from agent.core.kubernetes import ask
from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.fields import apply_entry
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.policy import Action, Conflicts
from agent.core.kubernetes.takeover import orphan
from agent.ports.inventory import Held
from tests.agent.kubernetes.cluster import ONE, TWO, Hand, config_map, deployment, policy


def data(item: Object | None) -> dict[str, str] | None:
    return None if item is None else item.get("data")


async def test_what_is_not_there_is_made_kept_and_changed(hand: Hand) -> None:
    """P7: the same again writes nothing."""
    made = await hand.apply(config_map(k="1"))
    mark = hand.plane.audit.mark()
    kept = await hand.apply(config_map(k="1"), made)
    changed = await hand.apply(config_map(k="2"), kept)
    asked = hand.plane.audit.since(mark, lambda asked: hand.namespace in asked.path)
    assert [each.action for each in (made, kept, changed)] == [Action.CREATED, Action.UNCHANGED, Action.CONFIGURED]
    assert [each.verb for each in asked] == ["patch", "patch"]
    live = hand.live(config_map())
    assert data(live) == {"k": "2"}
    assert live is not None
    assert live["metadata"]["labels"] == {PART_OF: "applyset-one-v1"}


async def test_what_git_no_longer_sets_goes(hand: Hand) -> None:
    made = await hand.apply(config_map(k="1", l="2"))
    await hand.apply(config_map(k="1"), made)
    assert data(hand.live(config_map())) == {"k": "1"}


# -- M3: whose it is ------------------------------------------------------------------------------------------------


async def test_an_object_of_another_sync_is_left_alone(hand: Hand) -> None:
    """Also where it is written just so; the answer names the owner and how to take it."""
    await hand.apply(config_map(k="1"))
    refused = await hand.fail(config_map(k="1"), to=policy(TWO))
    assert "belongs to bellpull/tests/one; set the annotation bellpull.dev/adopt: enabled" in refused.problem
    assert not refused.passes
    await hand.fail(config_map(m="2"), to=policy(TWO))
    assert data(hand.live(config_map())) == {"k": "1"}


@pytest.mark.parametrize("on_the_object", [True, False])
async def test_an_object_is_handed_over_without_a_gap(hand: Hand, on_the_object: bool) -> None:
    """Fields that only the one had are removed, the label is the other's, and one entry is left."""
    await hand.apply(config_map(k="1", only="one"))
    uid = hand.live(config_map())
    annotations = {"bellpull.dev/adopt": "enabled"} if on_the_object else None
    wanted = config_map(annotations=annotations, k="1", m="2")
    taken = await hand.apply(wanted, to=policy(TWO, adopt=not on_the_object))
    live = hand.live(config_map())
    assert live is not None
    assert uid is not None
    assert live["metadata"]["uid"] == uid["metadata"]["uid"]
    assert data(live) == {"k": "1", "m": "2"}
    assert live["metadata"]["labels"] == {PART_OF: "applyset-two-v1"}
    assert (apply_entry(live, ONE), apply_entry(live, TWO) is not None) == (None, True)
    assert "taken over from bellpull/tests/one" in taken.notes


async def test_what_somebody_else_made_is_taken_over_and_said(hand: Hand) -> None:
    """The default: Git wins. What they have beside it stays."""
    hand.apply_as(config_map(k="theirs", other="x"), "helm")
    taken = await hand.apply(config_map(k="ours"))
    assert taken.action is Action.CONFIGURED
    assert "taken over: .data.k of helm" in taken.notes
    assert data(hand.live(config_map())) == {"k": "ours", "other": "x"}


async def test_conflicts_may_fail_or_be_reported_instead(hand: Hand) -> None:
    hand.apply_as(config_map(k="theirs"), "helm")
    refused = await hand.fail(config_map(k="ours"), to=policy(conflicts=Conflicts.FAIL))
    assert ".data.k of helm" in refused.problem
    left = await hand.apply(config_map(k="ours"), to=policy(conflicts=Conflicts.REPORT))
    assert (left.action, left.notes) == (Action.SKIPPED, ("left as it is: .data.k of helm",))
    assert data(hand.live(config_map())) == {"k": "theirs"}


async def test_what_is_there_with_the_same_values_is_adopted(hand: Hand) -> None:
    hand.create(config_map(k="1"))
    adopted = await hand.apply(config_map(k="1"))
    assert adopted.action is Action.CONFIGURED
    assert adopted.record is not None


async def test_a_label_that_a_person_removed_comes_back(hand: Hand) -> None:
    made = await hand.apply(config_map(k="1"))
    hand.merge(config_map(), {"metadata": {"labels": {PART_OF: None}}})
    back = await hand.apply(config_map(k="1"))
    assert back.action is Action.CONFIGURED
    live = hand.live(config_map())
    assert live is not None
    assert live["metadata"]["labels"] == {PART_OF: "applyset-one-v1"}
    assert made.record is not None


async def test_a_label_that_went_with_an_edit_comes_back_and_the_edit_is_undone(hand: Hand) -> None:
    """Nobody else's label is in the way, so it is nobody else's object."""
    await hand.apply(config_map(k="1"))
    hand.merge(config_map(), {"metadata": {"labels": {PART_OF: None}}, "data": {"k": "2"}})
    back = await hand.apply(config_map(k="1"))
    assert "taken over: .data.k of somebody" in back.notes
    live = hand.live(config_map())
    assert live is not None
    assert (live["data"], live["metadata"]["labels"]) == ({"k": "1"}, {PART_OF: "applyset-one-v1"})


async def test_an_object_that_another_sync_took_is_not_taken_back(hand: Hand) -> None:
    """Both have it in Git: who had it says so and fails, else each would undo the other's work for ever."""
    made = await hand.apply(config_map(k="1", only="one"))
    taken = await hand.apply(config_map(k="2"), to=policy(TWO, adopt=True))
    refused = await hand.fail(config_map(k="1", only="one"), made)
    assert "belongs to bellpull/tests/two" in refused.problem
    kept = await hand.apply(config_map(k="2"), taken, to=policy(TWO))
    assert kept.action is Action.UNCHANGED
    assert data(hand.live(config_map())) == {"k": "2"}


async def test_an_object_that_another_tool_took_into_its_set_is_not_taken_back(hand: Hand) -> None:
    """`kubectl apply --applyset=... --server-side --force-conflicts` takes the label, and nothing else may notice."""
    made = await hand.apply(config_map(k="1"))
    theirs = config_map(k="1")
    theirs["metadata"]["labels"] = {PART_OF: "applyset-theirs-v1"}
    hand.apply_as(theirs, "kubectl-applyset")
    refused = await hand.fail(config_map(k="2"), made)
    assert "belongs to kubectl-applyset" in refused.problem
    adopted = await hand.apply(config_map(k="2"), made, to=policy(adopt=True))
    assert adopted.action is Action.CONFIGURED
    live = hand.live(config_map())
    assert live is not None
    assert live["metadata"]["labels"] == {PART_OF: "applyset-one-v1"}


async def test_a_label_that_a_person_mistyped_is_put_right(hand: Hand) -> None:
    """Who writes a label applies nothing: no set has it."""
    made = await hand.apply(config_map(k="1"))
    hand.merge(config_map(), {"metadata": {"labels": {PART_OF: "mistyped"}}}, "kubectl-label")
    await hand.apply(config_map(k="1"), made)
    live = hand.live(config_map())
    assert live is not None
    assert live["metadata"]["labels"] == {PART_OF: "applyset-one-v1"}


# -- M8: what a PATCH may do ----------------------------------------------------------------------------------------


async def test_one_that_was_deleted_is_made_again(hand: Hand) -> None:
    """And one that somebody else made in its place is looked at first."""
    made = await hand.apply(config_map(k="1"))
    hand.plane.ask("DELETE", hand.path(config_map()))
    again = await hand.apply(config_map(k="1"), made)
    assert again.action is Action.CREATED
    hand.plane.ask("DELETE", hand.path(config_map()))
    hand.apply_as(config_map(k="theirs"), "helm")
    refused = await hand.fail(config_map(k="1"), again, to=policy(conflicts=Conflicts.FAIL))
    assert ".data.k of helm" in refused.problem


async def test_one_that_is_being_deleted_is_waited_for_and_made_again(hand: Hand) -> None:
    """A finalizer of Git's own would hold it for ever; a foreign one is named while it holds."""
    made = await hand.apply(config_map(k="1"))
    hand.merge(config_map(), {"metadata": {"finalizers": ["example.org/hold"]}})
    hand.plane.ask("DELETE", hand.path(config_map()))
    before = hand.live(config_map())
    assert before is not None

    async def release() -> None:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(hand.merge, config_map(), {"metadata": {"finalizers": None}})

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(release())
        again = await hand.apply(config_map(k="1"), made)
    live = hand.live(config_map())
    assert live is not None
    assert again.action is Action.CREATED
    assert live["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_late_apply_makes_nothing_again(hand: Hand) -> None:
    """What was known is named by its uid: gone or made anew, a PATCH that arrives late cannot bring it back."""
    made = await hand.apply(config_map(k="1"))
    assert made.record is not None
    (desired,) = await hand.desired(config_map(k="late"))
    late = ask.apply(desired.path, ask.members_item(desired, "applyset-one-v1", made.record.uid), ONE, force=True)
    hand.plane.ask("DELETE", hand.path(config_map()))
    assert (await hand.client.send(late)).status in (404, 409)
    assert hand.live(config_map()) is None
    hand.create(config_map(k="theirs"))
    assert (await hand.client.send(late)).status in (409, 422)
    assert data(hand.live(config_map())) == {"k": "theirs"}


async def test_a_version_alone_does_not_keep_an_apply_from_making_an_object(hand: Hand) -> None:
    """Why it is the uid: an API server does not look at the version of what is not there."""
    await hand.apply(config_map(k="1"))
    (desired,) = await hand.desired(config_map(k="late"))
    late = ask.apply(desired.path, ask.members_item(desired, "applyset-one-v1", version="1"), ONE, force=True)
    assert (await hand.client.send(late)).status == 409
    hand.plane.ask("DELETE", hand.path(config_map()))
    assert (await hand.client.send(late)).status == 201


async def test_a_deletion_is_of_the_object_that_was_looked_at(hand: Hand) -> None:
    """By its uid, and where it is to be put back by its version, too."""
    await hand.apply(config_map(k="1"))
    live = hand.live(config_map())
    assert live is not None
    path, metadata = hand.path(config_map()), live["metadata"]
    hand.merge(config_map(), {"data": {"k": "2"}})
    written = ask.delete(path, uid=metadata["uid"], revision=metadata["resourceVersion"])
    assert (await hand.client.send(written)).status == 409
    hand.plane.ask("DELETE", path)
    hand.create(config_map(k="theirs"))
    assert (await hand.client.send(ask.delete(path, uid=metadata["uid"]))).status == 409
    assert data(hand.live(config_map())) == {"k": "theirs"}


async def test_one_that_is_being_deleted_when_git_adds_a_finalizer_is_made_again_with_it(hand: Hand) -> None:
    """An API server refuses it as invalid (422), which passes."""
    made = await hand.apply(config_map(k="1"))
    hand.merge(config_map(), {"metadata": {"finalizers": ["example.org/hold"]}})
    hand.plane.ask("DELETE", hand.path(config_map()))
    wanted = config_map(k="1")
    wanted["metadata"]["finalizers"] = ["example.org/ours"]

    async def release() -> None:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(hand.merge, config_map(), {"metadata": {"finalizers": None}})

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(release())
        await hand.apply(wanted, made)
    live = hand.live(config_map())
    assert live is not None
    hand.merge(config_map(), {"metadata": {"finalizers": None}})
    assert live["metadata"]["finalizers"] == ["example.org/ours"]
    assert "deletionTimestamp" not in live["metadata"]


async def test_one_that_goes_with_a_finalizer_of_git_is_freed_by_git(hand: Hand) -> None:
    """What holds it is a field like others: gone from Git, it is gone, and the object is made again without it."""
    held = config_map(k="1")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    made = await hand.apply(held)
    hand.plane.ask("DELETE", hand.path(held))
    assert hand.live(held) is not None
    again = await hand.apply(config_map(k="1"), made)
    live = hand.live(held)
    assert live is not None
    assert again.action is Action.CREATED
    assert "deletionTimestamp" not in live["metadata"]


# -- M5: letting go of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [True, False])
async def test_an_object_that_is_left_to_itself_keeps_all_it_has(hand: Hand, others: bool) -> None:
    """Without our label and entry; an apply of nothing would take the fields with it."""
    await hand.apply(config_map(k="1"))
    if others:
        hand.merge(config_map(), {"data": {"theirs": "x"}})
    live = hand.live(config_map())
    assert live is not None
    await hand.client.send(ask.rewrite(hand.path(config_map()), orphan(live, ONE)))
    left = hand.live(config_map())
    assert left is not None
    assert left["data"] == {"k": "1"} | ({"theirs": "x"} if others else {})
    assert PART_OF not in left["metadata"].get("labels", {})
    assert apply_entry(left, ONE) is None


# -- M4: what others left behind ------------------------------------------------------------------------------------


def with_pod(**spec: Any) -> Object:
    """Return a Deployment whose pods have this too."""
    item = deployment()
    item["spec"]["template"]["spec"] |= spec
    return item


def container(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "web", "image": "example.org/web:1"} | more]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(
            with_pod(volumes=[{"name": "v", "emptyDir": {}}]),
            with_pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
            id="a volume of another type",
        ),
        pytest.param(
            with_pod(containers=container(env=[{"name": "A", "value": "x"}])),
            with_pod(
                containers=container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
            ),
            id="a variable from elsewhere",
        ),
        pytest.param(
            deployment(strategy={"type": "Recreate"}),
            deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}),
            id="another strategy",
        ),
    ],
)
async def test_an_edit_that_excludes_ours_is_undone(hand: Hand, ours: Object, theirs: Object) -> None:
    """An apply alone is answered 422 for ever."""
    made = await hand.apply(ours)
    hand.put(theirs)
    await hand.apply(ours, made)
    live = hand.live(ours)
    assert live is not None
    assert not any(theirs in str(live["spec"]) for theirs in ("hostPath", "valueFrom", "'maxSurge': 2"))
    assert "somebody" not in [entry["manager"] for entry in live["metadata"]["managedFields"]]
    again = await hand.apply(ours, await hand.apply(ours, made))
    assert again.action is Action.UNCHANGED


async def test_what_is_wrong_in_git_takes_nothing_from_others(hand: Hand) -> None:
    """A 422 that Git alone would have, too: else what somebody put beside ours would go with the next good commit."""
    made = await hand.apply(deployment())
    live = hand.live(deployment())
    assert live is not None
    del live["metadata"]["resourceVersion"]
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "example.org/sidecar"})
    hand.put(live)
    refused = await hand.fail(with_pod(containers=container(image="")), made)
    assert "containers[0].image: Required value" in refused.problem
    await hand.apply(deployment(), made)
    after = hand.live(deployment())
    assert after is not None
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["web", "sidecar"]


async def test_what_another_applied_against_ours_is_named(hand: Hand) -> None:
    """It is not taken from who applies it, as that would apply it again: a person has to say whose it is."""
    hand.apply_as(with_pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "helm")
    refused = await hand.fail(with_pod(volumes=[{"name": "v", "emptyDir": {}}]))
    assert "may not specify more than 1 volume type" in refused.problem
    assert refused.problem.endswith("; set there, too, by helm")
    assert not refused.passes


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "kubectl-edit", "before-first-apply"])
async def test_what_a_person_left_behind_goes(hand: Hand, manager: str) -> None:
    """Written over ours or before it: Git is what there is."""
    hand.create(config_map(k="1", theirs="x"), manager)
    first = await hand.apply(config_map(k="1"))
    assert data(hand.live(config_map())) == {"k": "1"}
    hand.put(config_map(k="2", extra="y"), manager)
    again = await hand.apply(config_map(k="1"), first)
    assert again.action is Action.CONFIGURED
    assert data(hand.live(config_map())) == {"k": "1"}


async def test_what_a_person_left_behind_stays_where_the_object_asks_for_it(hand: Hand) -> None:
    merged = config_map(annotations={"bellpull.dev/apply": "merge"}, k="1")
    hand.create(config_map(k="1", theirs="x"), "kubectl-edit")
    await hand.apply(merged)
    assert data(hand.live(config_map())) == {"k": "1", "theirs": "x"}


async def test_managers_that_were_reset_leave_nothing(hand: Hand) -> None:
    """Else what Git drops later would stay for ever."""
    made = await hand.apply(config_map(k="1", l="2"))
    path = hand.path(config_map())
    hand.plane.ask("PATCH", path, {"metadata": {"managedFields": [{}]}}, content="application/merge-patch+json")
    again = await hand.apply(config_map(k="1", l="2"), made)
    await hand.apply(config_map(k="1"), again)
    assert data(hand.live(config_map())) == {"k": "1"}


# -- what objects ask for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bellpull.dev/apply", "kustomize.toolkit.fluxcd.io/ssa"])
async def test_an_object_may_be_made_once_and_left(hand: Hand, name: str) -> None:
    """Flux's name and word are taken too."""
    how = "if-not-present" if name.startswith("bellpull") else "IfNotPresent"
    first = await hand.apply(config_map(annotations={name: how}, k="1"))
    left = await hand.apply(config_map(annotations={name: how}, k="2"), first)
    assert (first.action, left.action) == (Action.CREATED, Action.SKIPPED)
    assert data(hand.live(config_map())) == {"k": "1"}


async def test_an_object_may_be_left_alone(hand: Hand) -> None:
    left = await hand.apply(config_map(annotations={"bellpull.dev/apply": "ignore"}, k="2"))
    assert (left.action, hand.live(config_map())) == (Action.SKIPPED, None)


# -- M12: what may not change ---------------------------------------------------------------------------------------


def selecting(app: str, **more: Any) -> Object:
    item = deployment(**more)
    item["spec"]["selector"] = {"matchLabels": {"app": app}}
    item["spec"]["template"]["metadata"] = {"labels": {"app": app}}
    return item


def forced(item: Object) -> Object:
    item["metadata"]["annotations"] = {"bellpull.dev/force": "enabled"}
    return item


async def test_what_may_not_change_is_said_with_the_way_on(hand: Hand) -> None:
    made = await hand.apply(selecting("one"))
    refused = await hand.fail(selecting("two"), made)
    assert "field is immutable; set the annotation bellpull.dev/force: enabled" in refused.problem
    assert not refused.passes


async def test_an_object_is_made_anew_where_it_asks_for_it(hand: Hand) -> None:
    made = await hand.apply(selecting("one"))
    anew = await hand.apply(forced(selecting("two")), made)
    assert anew.action is Action.RECREATED
    live = hand.live(deployment())
    assert live is not None
    assert live["spec"]["selector"] == {"matchLabels": {"app": "two"}}


async def test_an_object_that_would_not_come_back_is_not_deleted(hand: Hand) -> None:
    """One wrong value beside the immutable field: nothing is deleted."""
    made = await hand.apply(selecting("one"))
    before = hand.live(deployment())
    refused = await hand.fail(forced(selecting("two", replicas=-1)), made)
    assert "spec.replicas" in refused.problem
    after = hand.live(deployment())
    assert before is not None
    assert after is not None
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])


async def test_what_holds_data_is_never_made_anew(hand: Hand) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {**spec, "storageClassName": "a"},
    }
    made = await hand.apply(claim)
    claim["spec"] = {**spec, "storageClassName": "b"}
    refused = await hand.fail(forced(claim), made)
    assert "is not made anew: its data may go" in refused.problem
    assert hand.live(claim) is not None


def secret(**more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **more}


@pytest.mark.parametrize(
    ("item", "field"),
    [
        pytest.param(
            secret(type="kubernetes.io/tls", data={"tls.crt": "aHVudGVyMg=="}), "data[tls.key]", id="invalid"
        ),
        pytest.param(secret(data={"a": {"b": "hunter2"}}), ".data.a", id="no text"),
        pytest.param(secret(data={"a": 4711}), ".data.a", id="a number"),
        pytest.param(secret(data={"a": "hunter2!"}), "it", id="no base64"),
        pytest.param(secret(hunter2="x"), ".hunter2", id="a field that is none"),
    ],
)
async def test_a_secret_is_in_no_refusal(hand: Hand, item: Object, field: str) -> None:
    """Servers quote values; neither an apply nor a diff passes them on, and both say which field it is."""
    refused = await hand.fail(item)
    (desired,) = await hand.desired(item)
    (shown,) = await differences(Opened(hand.client), Held(), [desired], policy())
    for problem in (refused.problem, shown.problem or ""):
        assert f"the API server refused {field} (" in problem
        assert not any(text in problem.replace(".hunter2", "") for text in ("hunter2", "aHVudGVyMg", "4711"))
