"""The layers hold because `make check` fails without them: each of its contracts is seen to break here."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("bellpull", "gateway", "agent")
MODULES: Final = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

DECIDES: Final = "What decides takes data: no I/O, clock, chance or logs in the cores and the contract"
FORBIDDEN: Final = (
    ("gateway/core", "asyncio", DECIDES),
    ("agent/core", "pathlib", DECIDES),
    ("bellpull/contract", "time", DECIDES),
    ("gateway/core", "bellpull.runtime.files", DECIDES),
    ("bellpull/contract", "bellpull.runtime.secret", "Layers of the distribution"),
    ("bellpull/runtime", "gateway.core", "Layers of the distribution"),
    ("gateway/app", "agent.core", "Layers of the distribution"),
    ("agent/app", "gateway.core", "Layers of the distribution"),
    ("agent/app", "bellpull.cli", "Layers of the distribution"),
    ("gateway/core", "gateway.ports", "Layers inside the gateway"),
    ("gateway/ports", "gateway.adapters", "Layers inside the gateway"),
    ("agent/adapters", "agent.app", "Layers inside the agent"),
    ("agent/core", "agent.spec", "Layers inside the agent"),
    ("gateway/app", "apsw", "One module for each client library: apsw"),
    ("agent/app", "pygit2", "One module for each client library: pygit2"),
    ("agent/app", "kubernetes_asyncio", "One module for each client library: kubernetes_asyncio"),
    ("agent/app", "cel_expr_python", "One module for each client library: cel-expr-python"),
    ("gateway/adapters", "joserfc", "One module for each client library: joserfc"),
    ("agent/adapters", "structlog", "One module for each client library: structlog and prometheus-client"),
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what import-linter reads."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def lint(checkout: Path) -> tuple[int, str]:
    """Return the exit code and the output, on one line."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_only_who_speaks_to_a_cluster_loads_its_library() -> None:
    """It takes a second and 60 MB: neither the command line nor an agent with directories alone imports it."""
    program = (
        "import sys, bellpull.cli, agent.app.main, agent.app.assembly; print('kubernetes_asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_what_is_there_keeps_to_the_layers(checkout: Path) -> None:
    code, output = lint(checkout)
    assert code == 0, output


@pytest.mark.parametrize(("where", "imported", "contract"), FORBIDDEN)
def test_a_forbidden_import_breaks_the_check(checkout: Path, where: str, imported: str, contract: str) -> None:
    added = checkout / where / "added.py"
    added.write_text(f"import {imported}\n")
    try:
        code, output = lint(checkout)
    finally:
        added.unlink()
    assert code == 1
    assert f"{contract} BROKEN" in output


def test_every_contract_is_seen_to_break() -> None:
    """A contract that is added gets a case above."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == {contract for _, _, contract in FORBIDDEN}


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_a_module_begins_with_what_it_is_for(path: Path) -> None:
    """The head of a module is its design note."""
    head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert head
    assert head.splitlines()[0][-1] in ".:;"
