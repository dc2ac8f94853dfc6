"""An apply that is killed at a random point (P6, P9): the next one leaves what Git says, and no orphan."""

import random
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest

from tests import soak
from tests.parts.control_plane import ControlPlane

_OBJECTS: Final = 60
_LONGEST_S: Final = 2.0


def manifests(folder: Path, names: set[str], value: str) -> None:
    """Write one ConfigMap a name, of a value."""
    text = "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n"
        for name in sorted(names)
    )
    (folder / "all.yaml").write_text(text)


def apply(folder: Path, kubeconfig: Path, *, kill_after_s: float | None = None) -> int | None:
    """Run the command, and return its exit code; it is killed where a time is given and it took longer."""
    words = ["apply", "--once", folder, "--name", "site", "--kubeconfig", kubeconfig, "--accept-deletions"]
    command = [sys.executable, "-m", "bellpull", *map(str, words)]
    try:  # at the end of the time the process gets SIGKILL
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=kill_after_s).returncode
    except subprocess.TimeoutExpired:
        return None


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_after_a_kill_the_next_apply_leaves_what_git_says(
    rounds: int, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Each round adds, changes and removes objects; somebody's own are never touched."""
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.write_kubeconfig(kubeconfig, "admin", namespace=namespace)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}}
    control_plane.ask("POST", path, theirs)
    begun, killed = monotonic(), 0
    took_s = _LONGEST_S
    for number in range(rounds):
        for _ in range(chance.randint(1, 3)):
            names = {f"a-{chance.randrange(2 * _OBJECTS)}" for _ in range(_OBJECTS)}
            manifests(tmp_path, names, f"{number}-{chance.random()}")
            killed += apply(tmp_path, kubeconfig, kill_after_s=chance.uniform(0.3, 1.0) * took_s) is None
        names = {f"a-{chance.randrange(2 * _OBJECTS)}" for _ in range(_OBJECTS)}
        manifests(tmp_path, names, f"{number}")
        started = monotonic()
        assert apply(tmp_path, kubeconfig) == 0, f"seed {seed}"
        took_s = monotonic() - started
        found: list[Any] = control_plane.ask("GET", path)["items"]
        others = {"kube-root-ca.crt", "bellpull-sync-site", "theirs"}
        live = {
            each["metadata"]["name"]: each.get("data") for each in found if each["metadata"]["name"] not in others
        }
        assert live == {name: {"value": f"{number}"} for name in names}, f"seed {seed}"
        assert control_plane.seen(f"{path}/theirs") is not None
    assert killed, f"seed {seed}: no apply was killed"
    soak.record("apply killed", rounds=rounds, killed=killed, left_over=0, seconds=round(monotonic() - begun))
