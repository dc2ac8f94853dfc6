"""What a dry run says before, and what an apply does then, on a real API server: they are the same."""

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import pytest

from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import Difference, differences
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.policy import Conflicts, Done, Policy
from agent.core.kubernetes.requests import Answer, Method, Request
from agent.core.kubernetes.shown import compared
from agent.ports.cluster import ClusterError, WatchedCluster
from agent.ports.inventory import Held
from tests.agent.kubernetes.cluster import TWO, Hand, config_map, deployment, policy


async def differ(
    hand: Hand, item: Object, made: Done | None = None, *, to: Policy | None = None
) -> Difference | None:
    """Return what would change of an object of which is known what came of it before."""
    (desired,) = await hand.desired(item)
    member = Member(id=desired.id, version="v1", record=made.record if made else None)
    held = Held(members={desired.id: member})
    found = await differences(Opened(hand.client), held, [desired], to or policy())
    return found[0] if found else None


def web(*, annotations: dict[str, str] | None = None, **container: Any) -> Object:
    item = deployment(replicas=2)
    if annotations:
        item["metadata"]["annotations"] = annotations
    item["spec"]["template"]["spec"]["containers"][0] |= container
    return item


def _more_of_everything(live: Object) -> None:
    live["metadata"]["annotations"] = {"note": "by hand"}
    live["metadata"]["labels"]["by"] = "hand"
    live["spec"]["paused"] = True
    pod = live["spec"]["template"]["spec"]
    pod["containers"][0]["env"] = [{"name": "DEBUG", "value": "1"}]
    pod["containers"][0]["image"] = "example.org/web:9"
    pod["containers"].append({"name": "shell", "image": "example.org/shell"})
    pod["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    pod["nodeSelector"] = {"disk": "fast"}


def _beside_ours(live: Object) -> None:
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["env"].insert(0, {"name": "FIRST", "value": "1"})
    container["args"].append("--more")
    live["metadata"]["annotations"]["other"] = "x"


def without_revision(item: Object | None) -> Object | None:
    """Return the object without what the controller of Deployments counts meanwhile."""
    if item is not None:
        item["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        item["metadata"] = {name: each for name, each in item["metadata"].items() if each}
    return item


EDITS: Final[dict[str, tuple[Object, Callable[[Object], None]]]] = {
    "more of everything": (web(), _more_of_everything),
    "beside ours": (
        web(annotations={"ours": "1"}, args=["--less"], env=[{"name": "MODE", "value": "fast"}]),
        _beside_ours,
    ),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_what_kubectl_left_behind_is_seen_to_go(hand: Hand, edit: str) -> None:
    """Nothing that an apply takes away is missing in what is shown before."""
    item, change = EDITS[edit]
    made = await hand.apply(item)
    live = hand.live(item)
    assert live is not None
    change(live)
    del live["metadata"]["resourceVersion"]
    hand.put(live, manager="kubectl-edit")
    found = await differ(hand, item, made)
    await hand.apply(item, made)
    assert found is not None
    assert without_revision(found.planned) == without_revision(compared(hand.live(item), None)[0])
    assert await differ(hand, item, made) is None


async def test_it_stays_where_the_object_asks_for_it(hand: Hand) -> None:
    item = config_map(annotations={"bellpull.dev/apply": "merge"}, k="1")
    made = await hand.apply(item)
    hand.merge(item, {"data": {"more": "x"}}, manager="kubectl-edit")
    assert await differ(hand, item, made) is None


async def test_what_would_not_be_applied_is_no_change_but_a_problem(hand: Hand) -> None:
    """An object of another Sync, and one of others that are not overruled; where they are, what comes is shown."""
    await hand.apply(config_map("theirs", k="1"), to=policy(TWO))
    found = await differ(hand, config_map("theirs", k="2"))
    assert found is not None
    assert "belongs to bellpull/tests/two" in (found.problem or "")
    hand.apply_as(config_map(k="helm"), "helm")
    refused = await differ(hand, config_map(k="2"), to=policy(conflicts=Conflicts.FAIL))
    assert refused is not None
    assert "others own what Git sets: .data.k of helm" in (refused.problem or "")
    assert await differ(hand, config_map(k="2"), to=policy(conflicts=Conflicts.REPORT)) is None
    taken = await differ(hand, config_map(k="2"))
    assert taken is not None
    assert taken.planned is not None
    assert taken.planned["data"] == {"k": "2"}


async def test_what_an_apply_takes_over_first_is_said(hand: Hand) -> None:
    """No dry run can show what comes of it: it is answered 422, and the apply is not."""
    item = web()
    item["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    made = await hand.apply(item)
    edited = web()
    edited["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": "/"}}]
    hand.put(edited)
    found = await differ(hand, item, made)
    assert found is not None
    assert "may not specify more than 1 volume type; unless that is Git's own, an apply takes" in (
        found.problem or ""
    )
    assert (found.problem or "").endswith("what was written there by somebody")
    await hand.apply(item, made)
    assert await differ(hand, item, made) is None


class Through:
    """A cluster, reached through something that may interfere."""

    def __init__(self, cluster: WatchedCluster) -> None:
        self.cluster = cluster

    async def send(self, request: Request) -> Answer:
        return await self.cluster.send(request)

    def watch(self, request: Request, *, silence_s: float) -> AsyncGenerator[Object | None]:
        return self.cluster.watch(request, silence_s=silence_s)


class Between(Through):
    """A cluster where something happens between the first look and the dry run."""

    def __init__(self, cluster: WatchedCluster, happens: Callable[[], None]) -> None:
        super().__init__(cluster)
        self._happens: Callable[[], None] | None = happens

    async def send(self, request: Request) -> Answer:
        if request.method is Method.PATCH and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return await super().send(request)


async def test_what_a_controller_writes_meanwhile_is_no_difference(hand: Hand) -> None:
    made = await hand.apply(config_map(k="1"))
    cluster = Between(hand.client, lambda: hand.merge(config_map(), {"data": {"theirs": "x"}}))
    desired = await hand.desired(config_map(k="1"))
    member = Member(id=desired[0].id, version="v1", record=made.record)
    assert await differences(Opened(cluster), Held(members={member.id: member}), desired, policy()) == []


class Away(Through):
    """A cluster that goes away in the middle."""

    async def send(self, request: Request) -> Answer:
        if request.method is Method.PATCH:
            raise ClusterError("https://cluster: no answer")
        return await super().send(request)


async def test_a_cluster_that_goes_away_meanwhile_is_one_error(hand: Hand) -> None:
    """However many objects were under way."""
    desired = await hand.desired(*(config_map(name, k="1") for name in "abc"))
    with pytest.raises(ClusterError, match="no answer"):
        await differences(Opened(Away(hand.client)), Held(), desired, policy())
