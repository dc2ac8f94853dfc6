"""How fast signed pushes are accepted, beside a handler that only reads them, and what each part of it costs."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from tests.bench.figure import RUNS, Figure, Ratio, Section, median
from tests.bench.load import CONNECTIONS
from tests.bench.pushes import request
from tests.gateway.process import Folder

__all__ = ["measure"]

_PATIENCE_S: Final = 30
_RATE_BUDGET: Final = 0.25
_P99_BUDGET: Final = 5.0
_GATEWAY: Final = "gateway"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SUBJECTS: Final[Mapping[str, str]] = {
    "memory": "its listener alone: head, body, signature, decoding, answer, metrics; no disk, no log",
    "silent": "with the journal: twins checked, written, synced; no log",
    _GATEWAY: "the gateway: with its log",
}

_HOW: Final = f"""\
Signed GitHub pushes of {len(request(0, "x" * 12)) // 100 / 10:g} KB, head included, to eight refs of each of
eight repositories, no two with one id. {CONNECTIONS} connections of a load generator that is a process of its
own send the next push when the last was answered. The floor is an aiohttp handler on uvloop that reads the body
and answers 202; the gateway is `bellpull gateway` as anybody starts it, with two secrets as during a rotation,
and answers 202 when the push is synced to disk. The rows above it are its own parts with something left out:
their differences are what each costs. Each server is started afresh for each run; its processor time for each
push suffers least from what else the machine does."""


def measure() -> Section:
    """Load floor and subjects in turn."""
    seen: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ("bare", *_SUBJECTS)}
    for _ in range(RUNS):
        for kind, runs in seen.items():
            with (
                tempfile.TemporaryDirectory(prefix="bellpull-bench-") as folder,
                _serving(kind, Path(folder)) as (port, pid),
            ):
                runs.append(_load(port, pid))
    return Section(
        title="Accepting a push",
        how=_HOW,
        figures=tuple(_figure(kind, seen[kind], seen["bare"]) for kind in _SUBJECTS),
    )


def _figure(kind: str, runs: list[dict[str, Any]], floor: list[dict[str, Any]]) -> Figure:
    budgets = (_RATE_BUDGET, _P99_BUDGET) if kind == _GATEWAY else (None, None)
    rate, p50, p99, cpu = (median(run[name] for run in runs) for name in ("rate", "p50_ms", "p99_ms", "cpu_us"))
    return Figure(
        subject=_SUBJECTS[kind],
        floor="a bare aiohttp handler",
        seen=f"{rate:.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cpu:.0f} us of processor",
        ratios=(
            Ratio(name="rate", value=rate / median(run["rate"] for run in floor), budget=budgets[0], at_least=True),
            Ratio(name="p99", value=p99 / median(run["p99_ms"] for run in floor), budget=budgets[1]),
            Ratio(name="processor", value=cpu / median(run["cpu_us"] for run in floor)),
        ),
    )


def _cpu_us(pid: int) -> float:
    """Return the processor time that a process has had, in microseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / _TICKS


def _load(port: int, pid: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.load", "127.0.0.1", str(port)]
    before = _cpu_us(pid)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=_PATIENCE_S)
    seen: dict[str, Any] = orjson.loads(done.stdout)
    if seen["refused"]:
        raise RuntimeError(f"the server answered something else than 202: {seen['refused']}")
    return seen | {"cpu_us": (_cpu_us(pid) - before) / seen["answered"]}


@contextmanager
def _serving(kind: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Yield port and process."""
    if kind == _GATEWAY:
        with Folder(folder).running() as gateway:
            yield urlsplit(gateway.hooks).port or 0, gateway.process.pid
        return
    command = [sys.executable, "-m", "tests.bench.servers", kind, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline()), server.pid
        finally:
            server.stdin.close()
            server.wait(_PATIENCE_S)
