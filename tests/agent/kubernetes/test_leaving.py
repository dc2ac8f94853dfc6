"""Fields that are the cluster's to say, on a real API server: ignored ones, and replicas."""

import asyncio
from typing import Any, Final

import pytest

from agent.app.kubernetes.leaver import Leaver
from agent.core.kubernetes import ask
from agent.core.kubernetes.fields import apply_entry, entries
from agent.core.kubernetes.ignoring import IgnoreRule
from agent.core.kubernetes.leaving import HANDOVER
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.pointer import read_pointer
from agent.core.kubernetes.policy import Action, Conflicts, Policy
from tests.agent.kubernetes.cluster import ONE, TWO, Hand, config_map, deployment, policy

HPA: Final = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"


def ignoring(*paths: str, kind: str | None = None, name: str | None = None, **more: Any) -> Policy:
    rule = IgnoreRule(paths=tuple(read_pointer(path) for path in paths), kind=kind, name=name)
    return policy(ignore=(rule,), **more)


def replicas(hand: Hand) -> int:
    live = hand.live(deployment())
    assert live is not None
    return int(live["spec"]["replicas"])


def scale(hand: Hand, count: int, manager: str = "kube-controller-manager") -> None:
    """Write the number of replicas as an autoscaler does, and `kubectl scale`."""
    path = f"{hand.path(deployment())}/scale?fieldManager={manager}"
    hand.plane.ask("PATCH", path, {"spec": {"replicas": count}}, content="application/merge-patch+json")


def autoscaler() -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-load"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9},
    }


# -- ignore rules ---------------------------------------------------------------------------------------------------


async def test_an_ignored_field_is_made_as_git_has_it_and_never_changed_again(hand: Hand) -> None:
    """What another applier owns is theirs alone from then on: nobody is in its way."""
    to = ignoring("/data/k")
    made = await hand.apply(config_map(k="git", l="1"), to=to)
    hand.apply_as(config_map(k="theirs"), "tuner")
    kept = await hand.apply(config_map(k="git", l="2"), made, to=to)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "theirs", "l": "2"}
    assert "f:k" not in (apply_entry(live, ONE) or {})["fieldsV1"]["f:data"]
    again = await hand.apply(config_map(k="git", l="2"), kept, to=to)
    assert again.action is Action.UNCHANGED


async def test_an_ignored_field_that_nobody_applies_keeps_its_value(hand: Hand) -> None:
    """A person's edit by kubectl as well, whose other fields are taken over."""
    to = ignoring("/data/k")
    made = await hand.apply(config_map(k="git", l="1"), to=to)
    hand.merge(config_map(), {"data": {"k": "tuned", "extra": "x"}}, manager="kubectl-edit")
    kept = await hand.apply(config_map(k="git", l="1"), made, to=to)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "tuned", "l": "1"}
    assert [each["manager"] for each in entries(live)] == [ONE]
    again = await hand.apply(config_map(k="git", l="1"), kept, to=to)
    assert again.action is Action.UNCHANGED


async def test_an_ignored_field_stays_when_git_has_it_no_longer(hand: Hand) -> None:
    to = ignoring("/data/k")
    made = await hand.apply(config_map(k="git", l="1"), to=to)
    kept = await hand.apply(config_map(l="1"), made, to=to)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "git", "l": "1"}
    assert kept.notes == ("data.k is no longer in Git, and stays as it is",)
    assert apply_entry(live, HANDOVER) is not None
    again = await hand.apply(config_map(l="1"), kept, to=to)
    assert (again.action, again.notes) == (Action.UNCHANGED, ())


async def test_an_item_of_a_list_is_known_by_its_key(hand: Hand) -> None:
    """Not by its place, which is another's in the cluster once somebody put a container before it."""
    to = ignoring("/spec/template/spec/containers/0/image", kind="Deployment")
    made = await hand.apply(deployment(), to=to)
    live = hand.live(deployment())
    assert live is not None
    del live["metadata"]["resourceVersion"]  # controllers write its status meanwhile
    own = live["spec"]["template"]["spec"]["containers"][0]
    live["spec"]["template"]["spec"]["containers"] = [{"name": "first", "image": "x"}, own | {"image": "pinned"}]
    hand.put(live)
    wanted = deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "MODE", "value": "fast"}]
    await hand.apply(wanted, made, to=to)
    after = hand.live(deployment())
    assert after is not None
    containers = after["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], each["image"]) for each in containers] == [("first", "x"), ("web", "pinned")]
    assert containers[1]["env"] == [{"name": "MODE", "value": "fast"}]


async def test_a_list_without_keys_is_known_by_places(hand: Hand) -> None:
    to = ignoring("/spec/template/spec/containers/0/args/0", kind="Deployment")
    wanted = deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["args"] = ["--level=1", "--more"]
    made = await hand.apply(wanted, to=to)
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args/0", "value": "--level=9"}]
    hand.plane.ask("PATCH", f"{hand.path(wanted)}?fieldManager=x", patch, content="application/json-patch+json")
    wanted["spec"]["template"]["spec"]["containers"][0]["args"] = ["--level=1", "--other"]
    await hand.apply(wanted, made, to=to)
    live = hand.live(wanted)
    assert live is not None
    assert live["spec"]["template"]["spec"]["containers"][0]["args"] == ["--level=9", "--other"]


async def test_rules_are_for_the_objects_they_name(hand: Hand) -> None:
    to = ignoring("/data/k", kind="ConfigMap", name="other")
    made = await hand.apply(config_map(k="git"), to=to)
    hand.merge(config_map(), {"data": {"k": "edited"}})
    await hand.apply(config_map(k="git"), made, to=to)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "git"}


async def test_an_ignored_field_is_no_conflict(hand: Hand) -> None:
    """Also on first touch, with a Sync that takes nothing from others."""
    hand.apply_as(config_map(k="theirs"), "helm")
    await hand.apply(config_map(k="git", l="1"), to=ignoring("/data/k", conflicts=Conflicts.FAIL))
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "theirs", "l": "1"}


async def test_what_is_written_between_the_look_and_the_apply_is_not_undone(hand: Hand) -> None:
    """The adopted value goes with its version: here somebody writes between the two, once."""
    to = ignoring("/data/k")
    made = await hand.apply(config_map(k="git"), to=to)
    hand.merge(config_map(), {"data": {"k": "first"}}, manager="kubectl-edit")
    assert made.record is not None
    (desired,) = await hand.desired(config_map(k="git"))
    ready = await Leaver(hand.client, to, {}).ready(desired, known=True)
    hand.merge(config_map(), {"data": {"k": "second"}}, manager="kubectl-edit")
    item = ask.members_item(ready.desired, to.parent, made.record.uid, ready.version)
    answer = await hand.client.send(ask.apply(desired.path, item, to.manager, force=True))
    assert answer.status == 409
    await hand.apply(config_map(k="git"), made, to=to)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "second"}


async def test_one_that_was_made_anew_meanwhile_is_looked_at_again(hand: Hand) -> None:
    to = ignoring("/data/k")
    made = await hand.apply(config_map(k="git"), to=to)
    hand.plane.ask("DELETE", hand.path(config_map()))
    hand.create(config_map(k="theirs"))
    taken = await hand.apply(config_map(k="git", l="1"), made, to=to)
    assert taken.action is Action.CONFIGURED
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "theirs", "l": "1"}


# -- replicas that leave Git ----------------------------------------------------------------------------------------


async def test_replicas_that_leave_git_stay_as_they_are(hand: Hand) -> None:
    """Without a handover server-side apply would set them back to one."""
    made = await hand.apply(deployment(replicas=3))
    kept = await hand.apply(deployment(), made)
    assert replicas(hand) == 3
    assert kept.notes == ("spec.replicas is no longer in Git, and stays as it is",)
    scale(hand, 5)
    again = await hand.apply(deployment(), kept)
    assert (replicas(hand), again.notes) == (5, ())
    assert again.record is not None
    back = await hand.apply(deployment(replicas=2), again)
    assert (replicas(hand), back.action) == (2, Action.CONFIGURED)


async def test_replicas_that_kubectl_wrote_stay_when_its_fields_are_taken_over(hand: Hand) -> None:
    """A Deployment that `kubectl apply` made with replicas, and whose manifest in Git has none."""
    hand.create(deployment(replicas=4), manager="kubectl-client-side-apply")
    taken = await hand.apply(deployment())
    assert replicas(hand) == 4
    assert "what kubectl wrote beside Git is taken over" in taken.notes


async def test_replicas_stay_when_another_sync_takes_over(hand: Hand) -> None:
    await hand.apply(deployment(replicas=3))
    await hand.apply(deployment(), to=policy(TWO, adopt=True))
    assert replicas(hand) == 3


async def test_what_is_made_anew_has_as_many_replicas_as_before(hand: Hand) -> None:
    made = await hand.apply(deployment(replicas=3))
    kept = await hand.apply(deployment(), made)
    other = deployment(selector={"matchLabels": {"app": "web", "new": "yes"}})
    other["spec"]["template"]["metadata"]["labels"]["new"] = "yes"
    anew = await hand.apply(other, kept, to=policy(force=True))
    assert (anew.action, replicas(hand)) == (Action.RECREATED, 3)


# -- autoscalers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrote", [True, False], ids=["it scaled already", "it did not scale yet"])
async def test_an_autoscaler_says_the_replicas_not_git(hand: Hand, wrote: bool) -> None:
    """The fight of research is over: whatever Git says, and whether the autoscaler wrote or not."""
    made = await hand.apply(deployment(replicas=3))
    hand.plane.ask("POST", HPA.format(hand.namespace), autoscaler())
    if wrote:
        scale(hand, 6)
    before = replicas(hand)
    kept = await hand.apply(deployment(replicas=4), made)
    assert replicas(hand) == before
    assert kept.notes == ("spec.replicas is left to HorizontalPodAutoscaler/by-load: remove it from Git",)
    again = await hand.apply(deployment(replicas=4), kept)
    assert again.action is Action.UNCHANGED
    gone = await hand.apply(deployment(), again)
    assert replicas(hand) == before
    assert gone.action in (Action.CONFIGURED, Action.UNCHANGED)


async def test_without_an_autoscaler_a_person_who_scales_is_undone(hand: Hand) -> None:
    made = await hand.apply(deployment(replicas=3))
    scale(hand, 6, manager="kubectl")
    await hand.apply(deployment(replicas=3), made)
    assert replicas(hand) == 3


async def test_an_autoscaler_that_writes_all_the_time_loses_nothing(hand: Hand) -> None:
    """Each value that it wrote stays until its next, while the Sync applies again and again."""
    made = await hand.apply(deployment(replicas=3))
    hand.plane.ask("POST", HPA.format(hand.namespace), autoscaler())

    async def write() -> None:
        for count in range(2, 9):
            await asyncio.to_thread(scale, hand, count)
            for _ in range(3):
                await asyncio.sleep(0.02)
                assert replicas(hand) == count

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        number = 0
        while not writing.done():
            number += 1
            made = await hand.apply(deployment(replicas=3, minReadySeconds=number), made)
    assert number > 3
