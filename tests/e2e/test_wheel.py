"""What is built is what works: the wheel by itself, away from the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.usefixtures("git_programs")

_CHECKOUT: Final = Path(__file__).parents[2]
_OURS: Final = ("bellpull", "gateway", "agent")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """An environment that has the wheel's dependencies, and nothing of the checkout.

    The dependencies are those installed here, by their path: path files beside them, such as that of an editable
    install, are not read then.
    """
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    libraries = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (libraries / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def _run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that is told nothing of the checkout by its environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BELLPULL_", "VIRTUAL"))
    }
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_wheel_runs_the_demo_outside_the_checkout(outside: Path, tmp_path: Path) -> None:
    """Built, installed by pip with the checkout out of reach, and run from another folder, it keeps all promises."""
    python = outside / "bin" / "python"
    for package in _OURS:
        assert "ModuleNotFoundError" in _run(python, "-c", f"import {package}", cwd=tmp_path).stderr
    built = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=_CHECKOUT)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("bellpull-*.whl")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    installed = _run(*pip, "install", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    for package in _OURS:
        where = _run(python, "-c", f"import {package}; print({package}.__file__)", cwd=tmp_path).stdout
        assert Path(where).is_relative_to(outside)
    demo = _run(outside / "bin" / "bellpull", "demo", "--ci", "-o", "json", cwd=tmp_path)
    assert demo.returncode == 0, demo.stderr
    said = json.loads(demo.stdout)
    assert said["ok"] is True
    assert len(said["steps"]) == 7
