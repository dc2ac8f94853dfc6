"""A figure: something measured, as a ratio to a floor that was measured in the same run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

__all__ = ["RUNS", "Figure", "Ratio", "Section", "median", "percentile"]

RUNS = 3
"""How often floor and subject take turns; what is shown is the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One of a figure's numbers.

    Attributes:
        name: such as `p99`.
        value: how many times the floor's, or what `unit` says.
        unit: `x` for a ratio.
        budget: what it should keep to; None if nothing was promised.
        at_least: whether more is better.
    """

    name: str
    value: float
    unit: str = "x"
    budget: float | None = None
    at_least: bool = False

    @property
    def kept(self) -> bool | None:
        """Whether the budget was kept in this run."""
        if self.budget is None:
            return None
        return self.value >= self.budget if self.at_least else self.value <= self.budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A subject, its floor, and what came of the two; `seen` is the subject as measured, in words."""

    subject: str
    floor: str
    seen: str
    ratios: tuple[Ratio, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The figures of one module, and how they were measured."""

    title: str
    how: str
    figures: tuple[Figure, ...]


Measure = Callable[[], Section]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest of `values` that at least `percent` of 100 of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
