"""An agent that is killed while it applies (P6, P9): its restart leaves what Git says, and no orphan."""

import asyncio
import random
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import pytest

from tests import soak
from tests.e2e.cluster import cluster_world, config_map
from tests.parts.control_plane import ControlPlane
from tests.parts.control_plane.audit import Asked

_OBJECTS: Final = 120
_NAMESPACE: Final = "agent-kill"
_PATH: Final = f"/api/v1/namespaces/{_NAMESPACE}/configmaps"
_NOT_GITS: Final = {"kube-root-ca.crt", "bellpull-sync-cluster", "theirs"}


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
async def test_after_a_kill_the_agent_leaves_what_git_says(
    rounds: int, git_programs: Path, control_plane: ControlPlane
) -> None:
    """Each round adds, changes and removes objects; the agent gets SIGKILL after one of its writes, by chance."""
    assert git_programs.name
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    begun, in_the_middle = monotonic(), 0
    async with cluster_world(control_plane, _NAMESPACE, guard={"maxDeletions": "100%"}) as cluster:
        control_plane.ask("POST", _PATH, config_map("theirs"))

        def live() -> dict[str, Any]:
            found: list[Any] = control_plane.ask("GET", _PATH)["items"]
            return {each["metadata"]["name"]: each.get("data") for each in found}

        def wait_for_writes(count: int, mark: int) -> None:
            end = monotonic() + 10
            while len(control_plane.audit.since(mark, _is_write)) < count and monotonic() < end:
                sleep(0.001)

        for number in range(rounds):
            names = {f"a-{chance.randrange(2 * _OBJECTS)}" for _ in range(_OBJECTS)}
            wanted = {name: {"value": f"{number}"} for name in names}
            before = {name: data for name, data in live().items() if name not in _NOT_GITS}
            mark = control_plane.audit.mark()
            commit = await cluster.push(*(config_map(name, value=f"{number}") for name in sorted(names)))
            await asyncio.to_thread(wait_for_writes, chance.randint(1, _OBJECTS // 2), mark)
            await cluster.agent.kill()
            after = {name: data for name, data in live().items() if name not in _NOT_GITS}
            in_the_middle += after not in (before, wanted)
            await cluster.agent.start("hearing the gateway")
            await cluster.says(commit, "applied", "unchanged")
            found = live()
            assert {name: found[name] for name in found.keys() - _NOT_GITS} == wanted, f"seed {seed}, round {number}"
            assert found.keys() >= {"theirs"}
    assert in_the_middle, f"seed {seed}: no kill was in the middle of an apply"
    soak.record(
        "agent killed while it applies",
        rounds=rounds,
        in_the_middle=in_the_middle,
        left_over=0,
        seconds=round(monotonic() - begun),
    )


def _is_write(asked: Asked) -> bool:
    is_one = asked.verb in ("patch", "delete", "create", "update") and "dryRun" not in asked.path
    return is_one and _NAMESPACE in asked.path
