"""What the long fault tests found, for the table at the end of `make soak`."""

from collections.abc import Sequence
from typing import Final

__all__ = ["record", "table"]

_recorded: Final[list[tuple[str, dict[str, object]]]] = []


def record(name: str, **figures: object) -> None:
    """Note one test's figures: rounds, what was lost, times with their unit in the name."""
    _recorded.append((name, figures))


def table(rows: Sequence[tuple[str, dict[str, object]]] = _recorded) -> list[str]:
    """Return the lines of a table with a column for each figure that any test has."""
    columns = list(dict.fromkeys(column for _, figures in rows for column in figures))
    cells = [["", *columns], *([name, *(str(figures.get(each, "")) for each in columns)] for name, figures in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns) + 1)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (cells if rows else [])
    ]
