"""What others do to the objects of a Sync, and what it costs to know that nobody did (P7, P8)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeAlias

import pytest
import pytest_asyncio

from tests.e2e.cluster import Cluster, cluster_world, config_map
from tests.parts.control_plane import ControlPlane
from tests.parts.control_plane.audit import Asked

pytestmark = pytest.mark.asyncio(loop_scope="module")
_NAMESPACE: Final = "cluster-drift"
_FOLDER: Final = f"/api/v1/namespaces/{_NAMESPACE}/configmaps"
_PATH: Final = f"{_FOLDER}/a"
Foreign: TypeAlias = Callable[[ControlPlane, str], object]
"""Does something to the ConfigMap of this name."""
_COUNT: Final = 40
_DRIFT_S: Final = 3.0
"""Three times what is promised."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(git_programs: Path, control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    assert git_programs.name
    async with cluster_world(control_plane, _NAMESPACE) as made:
        yield made


def items(**first: str) -> list[dict[str, Any]]:
    return [config_map("a", **first), *(config_map(f"m-{number}", k="1") for number in range(_COUNT))]


def merge(patch: dict[str, Any], manager: str = "somebody") -> Foreign:
    content = "application/merge-patch+json"
    return lambda plane, name: plane.ask("PATCH", f"{_FOLDER}/{name}?fieldManager={manager}", patch, content=content)


def apply_as_another(plane: ControlPlane, name: str) -> None:
    path, content = f"{_FOLDER}/{name}?fieldManager=another&force=true", "application/apply-patch+yaml"
    plane.ask("PATCH", path, config_map(name, k="theirs"), content=content)


def replace(plane: ControlPlane, name: str) -> None:
    """As `kubectl replace` does."""
    plane.ask("PUT", f"{_FOLDER}/{name}?fieldManager=kubectl-replace", config_map(name, theirs="1"))


FOREIGN: Final[dict[str, Foreign]] = {
    "an edit": merge({"data": {"k": "theirs"}}),
    "an edit by a person": merge({"data": {"k": "theirs", "more": "1"}}, "kubectl-edit"),
    "a value removed": merge({"data": {"k": None}}),
    "a label changed": merge({"metadata": {"labels": {"app": "theirs"}}}),
    "a label removed": merge({"metadata": {"labels": {"app": None}}}),
    "the label of the set removed": merge({"metadata": {"labels": {"applyset.kubernetes.io/part-of": None}}}),
    "a deletion": lambda plane, name: plane.ask("DELETE", f"{_FOLDER}/{name}"),
    "an apply of another": apply_as_another,
    "a replace": replace,
    "a reset of the managers": merge({"metadata": {"managedFields": [{}]}, "data": {"k": "theirs"}}),
}


@pytest.mark.parametrize("what", FOREIGN)
async def test_what_others_do_is_undone_at_once(cluster: Cluster, what: str) -> None:
    """P8: and no object beside it is asked for."""
    name, plane = f"d-{[*FOREIGN].index(what)}", cluster.plane
    wanted = config_map(name, k="1")
    wanted["metadata"]["labels"] = {"app": "a"}
    await cluster.says(await cluster.push(wanted, *items(k="1")), "applied", "unchanged")
    mark = plane.audit.mark()
    await asyncio.to_thread(FOREIGN[what], plane, name)
    done = monotonic()

    def is_back() -> bool:
        live = cluster.live(name) or {"metadata": {}}
        labels = live["metadata"].get("labels") or {}
        is_ours = labels.get("app") == "a" and "applyset.kubernetes.io/part-of" in labels
        return live.get("data") == {"k": "1"} and is_ours

    while not await asyncio.to_thread(is_back):
        assert monotonic() - done < _DRIFT_S, cluster.live(name)
        await asyncio.sleep(0.02)
    assert {each.path.partition("?")[0] for each in _ours(plane, mark)} <= {f"{_FOLDER}/{name}"}


async def test_who_changes_it_back_again_and_again_is_named_and_left_so_ever_longer(cluster: Cluster) -> None:
    """What is between the two is said in the log: which fields, whose, and how to end it."""
    await cluster.says(await cluster.push(config_map("fought", k="1"), *items(k="1")), "applied", "unchanged")
    for number in range(6):
        fight = merge({"data": {"k": f"theirs-{number}"}}, "other-operator")
        await asyncio.to_thread(fight, cluster.plane, "fought")
        done = monotonic()
        while (await asyncio.to_thread(cluster.live, "fought"))["data"] != {"k": "1"}:
            assert monotonic() - done < _DRIFT_S
            await asyncio.sleep(0.02)
    await asyncio.to_thread(merge({"data": {"k": "theirs"}}, "other-operator"), cluster.plane, "fought")
    await asyncio.sleep(1)
    assert cluster.live("fought")["data"] == {"k": "theirs"}
    said = "an object is changed back again and again: take the fields out of Git, or name them in `ignore`"
    which = f"ConfigMap/{_NAMESPACE}/fought"
    assert cluster.agent.said(said, object=which, by=".data.k of other-operator", left_so_s=2.0) == 1
    await cluster.says(await cluster.push(config_map("fought", k="2"), *items(k="1")), "applied", "unchanged")
    assert cluster.live("fought")["data"] == {"k": "2"}


async def test_a_commit_that_changes_one_object_asks_for_one(cluster: Cluster) -> None:
    """P7: and one that changes none asks for none."""
    await cluster.says(await cluster.push(*items(k="1")), "applied", "unchanged")
    mark = cluster.plane.audit.mark()
    await cluster.says(await cluster.push(*items(k="2")), "applied", "unchanged")
    assert [(each.verb, each.path.partition("?")[0]) for each in _ours(cluster.plane, mark)] == [("patch", _PATH)]
    mark = cluster.plane.audit.mark()
    commit = await cluster.push(*reversed(items(k="2")))
    await cluster.says(commit, "applied", "unchanged")
    assert _ours(cluster.plane, mark) == []


async def test_a_restart_asks_for_no_object(cluster: Cluster) -> None:
    """P7: a list of the kind says that all of them are what they were."""
    await cluster.says(await cluster.push(*items(k="3")), "applied", "unchanged")
    await cluster.agent.stop()
    mark = cluster.plane.audit.mark()
    await cluster.agent.start("hearing the gateway")
    await cluster.says(await cluster.push(*items(k="4")), "applied", "unchanged")
    asked = [(each.verb, each.path.partition("?")[0]) for each in _ours(cluster.plane, mark)]
    assert asked == [("patch", _PATH)]


async def test_after_a_kill_nothing_is_written_that_is_as_it_is_to_be(cluster: Cluster) -> None:
    """What was not yet on record is asked for; no version moves."""
    commit = await cluster.push(*items(k="5"))
    await cluster.says(commit, "applied", "unchanged")
    versions = _versions(cluster.plane)
    await cluster.agent.kill()
    await cluster.agent.start("hearing the gateway")
    last = await cluster.push(*items(k="6"))
    await cluster.says(last, "applied", "unchanged")
    assert {name for name, version in _versions(cluster.plane).items() if versions[name] != version} == {"a"}


def _ours(plane: ControlPlane, mark: int) -> list[Asked]:
    """Return what the agent asked of the objects since then, but for lists, watches and its own inventory."""
    return plane.audit.since(
        mark,
        lambda each: (
            each.agent.startswith("bellpull")
            and each.path.startswith(_FOLDER)
            and "bellpull-sync" not in each.path
            and each.verb not in ("list", "watch")
            and each.path.partition("?")[0] != _FOLDER
        ),
    )


def _versions(plane: ControlPlane) -> dict[str, str]:
    found = plane.ask("GET", _FOLDER)["items"]
    return {
        each["metadata"]["name"]: each["metadata"]["resourceVersion"]
        for each in found
        if not each["metadata"]["name"].startswith(("bellpull-sync", "kube-root"))
    }
