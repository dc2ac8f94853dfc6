"""The pages of docs/reference that are made from the code: which there are, and what makes each.

`python -m tests.docs` writes them; with `--check` it says which are not what the code would make now.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.docs import asyncapi, commands, configuration, health, messages

__all__ = ["GENERATED", "PAGES", "ROOT", "made", "stale", "write"]

ROOT: Final = Path(__file__).parents[2] / "docs" / "reference"
GENERATED: Final = "schemas"
"""A folder in which nothing is written by hand."""

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "asyncapi.json": asyncapi.document,
    "commands.md": commands.page,
    "configuration.md": configuration.page,
    "health.md": health.page,
    "messages.md": messages.page,
    **messages.SCHEMAS,
}


def made() -> dict[str, str]:
    """Return what each page should say, by its path below `ROOT`."""
    return {name: make() for name, make in PAGES.items()}


def stale(root: Path = ROOT) -> list[str]:
    """Return the pages below `root` that say something else, are missing, or are made from nothing any more."""
    wrong = [name for name, text in made().items() if _read(root / name) != text]
    left_over = {str(path.relative_to(root)) for path in (root / GENERATED).glob("*")} - PAGES.keys()
    return sorted([*wrong, *left_over])


def write(root: Path = ROOT) -> None:
    """Make `root` what the code says."""
    for name in stale(root):
        if name not in PAGES:
            (root / name).unlink()
    for name, text in made().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
