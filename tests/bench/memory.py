"""What both programs hold at rest, beside a process that has imported the same and does nothing."""

import asyncio
import subprocess
import sys
from typing import Final

from bellpull.cli.demo.program import Program
from bellpull.cli.demo.world import world
from tests.bench.figure import RUNS, Figure, Ratio, Section, median
from tests.bench.resident import resident_mib

__all__ = ["measure"]

_SETTLED_S: Final = 2.0
_MODULES: Final = {
    "gateway": "bellpull.cli.gateway, gateway.app.main, uvloop",
    "agent": "bellpull.cli.agent, agent.app.main, uvloop",
}
_BUDGETS_MIB: Final = {"gateway": 45.0, "agent": 60.0}

_HOW: Final = f"""\
Resident memory (`VmRSS`) of gateway and agent {_SETTLED_S:g} seconds after a first push was applied, and of a process
that has imported the same modules and waits. Started {RUNS} times each, in turn; medians. The budget is what the
program holds above its imports, in MiB."""


def measure() -> Section:
    """Start everything, let it settle, and look."""
    floors: dict[str, list[float]] = {name: [] for name in _MODULES}
    subjects: dict[str, list[float]] = {name: [] for name in _MODULES}
    for _ in range(RUNS):
        for name, modules in _MODULES.items():
            floors[name].append(_imported(modules))
        for name, held in asyncio.run(_at_rest()).items():
            subjects[name].append(held)
    figures = tuple(_figure(name, median(subjects[name]), median(floors[name])) for name in _MODULES)
    return Section(title="Memory at rest", how=_HOW, figures=figures)


def _figure(name: str, held: float, imports: float) -> Figure:
    above = Ratio(name="above", value=held - imports, unit="MiB", budget=_BUDGETS_MIB[name])
    return Figure(
        subject=f"the {name} at rest",
        floor="its imports alone",
        seen=f"{held:.0f} MiB",
        ratios=(Ratio(name="memory", value=held / imports), above),
    )


async def _at_rest() -> dict[str, float]:
    async with world() as made:
        await asyncio.sleep(_SETTLED_S)
        return {"gateway": _held_by(made.gateway), "agent": _held_by(made.agent)}


def _held_by(program: Program) -> float:
    assert program.process is not None
    return resident_mib(program.process.pid)


def _imported(modules: str) -> float:
    command = [sys.executable, "-c", f"import sys, {modules}; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        held = resident_mib(process.pid)
        process.stdin.close()
        return held
