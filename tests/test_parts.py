"""A part that cannot be had never goes unnoticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import parts

CHECKOUT = Path(__file__).parent.parent
NEEDS_IT = """
from pathlib import Path
from types import SimpleNamespace
from tests import parts

def test_with_it():
    parts.need(SimpleNamespace(NAME="anvil", GET="apt-get install anvil", find=lambda: None, install=lambda: None))

def test_without_it():
    pass
"""


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_what_is_missing_is_listed_and_where_ci_is_true_a_failure(ci: str, code: int, tmp_path: Path) -> None:
    test = tmp_path / "test_anvil.py"
    test.write_text(NEEDS_IT)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.conftest",
            "-c",
            os.devnull,
            f"--rootdir={tmp_path}",
            test,
        ],
        cwd=CHECKOUT,
        env=os.environ | {"CI": ci, "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    assert "anvil: apt-get install anvil" in done.stdout


def test_a_part_is_installed_once_if_it_is_not_there(tmp_path: Path) -> None:
    class Anvil:
        NAME = "an anvil that is installed"
        GET = "apt-get install anvil"
        installed = 0

        def find(self) -> Path | None:
            return tmp_path if self.installed else None

        def install(self) -> None:
            self.installed += 1

    anvil = Anvil()
    assert parts.need(anvil) == parts.need(anvil) == tmp_path
    assert anvil.installed == 1


def test_the_cache_is_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert parts.cache() == tmp_path / "bellpull"
    assert parts.cache().is_dir()
