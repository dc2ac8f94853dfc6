"""What the demo's agent makes match Git: pages, each a file of a folder here, or an object in a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["FolderServed", "Served"]


class Served(Protocol):
    """Where pages are served from."""

    @property
    def where(self) -> str:
        """What a person looks at: a folder, or a command that shows it."""
        ...

    def written(self, pages: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return the files that are committed for these pages, by name; None is a page that goes."""
        ...

    async def read(self, name: str) -> str | None:
        """Return what a page says; None where there is none."""
        ...

    async def deface(self, name: str, content: str) -> None:
        """Change a page by hand."""
        ...


@dataclass(frozen=True, slots=True)
class FolderServed:
    """Pages that are files."""

    path: Path

    @property
    def where(self) -> str:
        """Return the folder."""
        return str(self.path)

    def written(self, pages: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return the pages."""
        return dict(pages)

    async def read(self, name: str) -> str | None:
        """Return what a file says."""
        try:
            return (self.path / name).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def deface(self, name: str, content: str) -> None:
        """Write a file."""
        (self.path / name).write_text(content)
