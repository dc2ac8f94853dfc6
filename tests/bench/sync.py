"""From a webhook to a directory that matches, and from an edit by hand back to it."""

import asyncio
import os
import subprocess
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from bellpull.cli.demo.world import World, world
from tests import parts
from tests.bench.figure import RUNS, Figure, Ratio, Section, median, percentile

__all__ = ["measure"]

_FILES: Final = 10
_TIMES: Final = 30
_P50_BUDGET_MS: Final = 150.0
_P99_BUDGET_MS: Final = 500.0
_DRIFT_BUDGET_MS: Final = 1000.0

_HOW: Final = f"""\
Gateway and agent as processes of their own, and a real Git server, all on loopback; a repository of {_FILES} small
files, each of them changed by each push. `git fetch` by command fetches the same commit, of the same server, into a
bare repository that has the one before. An edit by hand is undone when the served file has Git's content again; its
floor is what cannot be saved: {_FILES} files written anew, synced, and switched to by one rename. {RUNS} runs of
{_TIMES} rounds in which subject and floor take turns; medians of the runs' percentiles."""


def measure() -> Section:
    """Push and edit, run after run."""
    pushed: list[tuple[list[float], list[float]]] = []
    edited: list[tuple[list[float], list[float]]] = []
    for _ in range(RUNS):
        pushes, edits = asyncio.run(_run())
        pushed.append(pushes)
        edited.append(edits)
    return Section(
        title="From webhook to applied, and drift",
        how=_HOW,
        figures=(
            _figure("a webhook received until ten files are live", "`git fetch`", pushed, (50, 99), _PUSH_BUDGETS),
            _figure("an edit by hand until it is undone", "write, sync, rename", edited, (50, 95), _DRIFT_BUDGETS),
        ),
    )


_PUSH_BUDGETS: Final = (_P50_BUDGET_MS, _P99_BUDGET_MS)
_DRIFT_BUDGETS: Final = (None, _DRIFT_BUDGET_MS)


def _figure(
    subject: str,
    floor: str,
    runs: list[tuple[list[float], list[float]]],
    percents: tuple[int, int],
    budgets: tuple[float | None, float],
) -> Figure:
    ratios: list[Ratio] = []
    for percent, budget in zip(percents, budgets, strict=True):
        took, least = (median(percentile(run[side], percent) for run in runs) for side in (0, 1))
        ratios.append(Ratio(name=f"p{percent}", value=took / least))
        ratios.append(Ratio(name=f"p{percent}", value=took, unit="ms", budget=budget))
    return Figure(subject=subject, floor=floor, seen=f"{_TIMES} x {RUNS} rounds", ratios=tuple(ratios))


async def _run() -> tuple[tuple[list[float], list[float]], tuple[list[float], list[float]]]:
    async with world() as made:
        mirror = made.folder / "floor.git"
        await asyncio.to_thread(_git, "init", "--quiet", "--bare", str(mirror))
        applied, fetched, undone, written = [], [], [], []
        for number in range(_TIMES):
            applied.append(await _applied_ms(made, number))
            fetched.append(await asyncio.to_thread(_fetched_ms, mirror, made.clone_url))
        for number in range(_TIMES):
            undone.append(await _undone_ms(made, number))
            written.append(await asyncio.to_thread(_written_ms, made.folder / "floor", number))
        return (applied, fetched), (undone, written)


async def _applied_ms(made: World, number: int) -> float:
    """Push and deliver; return milliseconds from the gateway's receipt until the agent was done."""
    files = {f"page-{page}.html": _content(page, number) for page in range(_FILES)}
    push = await made.push(files, f"Round {number}")
    await made.deliver(push)
    answer = await made.answer(push.after)
    hops: dict[str, Any] = answer["syncs"][0]["hops"]
    received, finished = (datetime.fromisoformat(hops[name]) for name in ("received", "finished"))
    return (finished - received).total_seconds() * 1000


async def _undone_ms(made: World, number: int) -> float:
    """Edit a served file and return milliseconds until it is what it was."""
    name = f"page-{number % _FILES}.html"
    path = made.site / name
    content = path.read_text()
    begun = perf_counter()
    path.write_text("defaced\n")
    await made.shows(name, content)
    return (perf_counter() - begun) * 1000


def _fetched_ms(mirror: Path, url: str) -> float:
    begun = perf_counter()
    _git("--git-dir", str(mirror), "fetch", "--quiet", "--depth=1", url, "main")
    return (perf_counter() - begun) * 1000


def _written_ms(folder: Path, number: int) -> float:
    """Write the files and sync them, and switch a link to them."""
    begun = perf_counter()
    release = folder / f"release-{number}"
    release.mkdir(parents=True)
    for page in range(_FILES):
        _write(release / f"page-{page}.html", _content(page, number).encode())
    _sync(release)
    (folder / "next").symlink_to(release)
    (folder / "next").rename(folder / "site")
    _sync(folder)
    return (perf_counter() - begun) * 1000


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _content(page: int, number: int) -> str:
    return f"<p>page {page}, round {number}</p>\n" * 8


def _git(*words: str) -> None:
    subprocess.run(["git", *words], env=parts.hermetic(), check=True, stdin=subprocess.DEVNULL)
