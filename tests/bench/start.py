"""How long the command takes to say what it can do, beside an interpreter that does nothing."""

import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Final

from tests.bench.figure import RUNS, Figure, Ratio, Section, median

__all__ = ["measure"]

_BUDGET: Final = 10.0
_STARTS: Final = 5 * RUNS


def measure() -> Section:
    """Start both in turn."""
    floor: list[float] = []
    subject: list[float] = []
    for _ in range(_STARTS):
        floor.append(_took_ms(sys.executable, "-c", "pass"))
        subject.append(_took_ms(str(Path(sys.executable).with_name("bellpull")), "--help"))
    return Section(
        title="Starting the command",
        how=f"Each is started {_STARTS} times, in turn; medians.",
        figures=(
            Figure(
                subject="`bellpull --help`",
                floor="`python -c pass`",
                seen=f"{median(subject):.0f} ms",
                ratios=(Ratio(name="time", value=median(subject) / median(floor), budget=_BUDGET),),
            ),
        ),
    )


def _took_ms(*command: str) -> float:
    begun = perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (perf_counter() - begun) * 1000
