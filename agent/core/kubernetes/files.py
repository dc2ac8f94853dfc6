"""Which files of a folder are manifests."""

from enum import Enum, auto
from typing import Final

__all__ = ["FileKind", "file_kind", "needs_rendering"]

_ENDINGS: Final = (".yaml", ".yml", ".json")
_RENDERERS: Final = {
    "kustomization.yaml": "Kustomize",
    "kustomization.yml": "Kustomize",
    "Kustomization": "Kustomize",
    "Chart.yaml": "Helm",
}


class FileKind(Enum):
    """What a file is to an apply."""

    MANIFEST = auto()
    RENDERED = auto()
    """The beginning of something that a renderer makes manifests of."""
    OTHER = auto()


def file_kind(path: str) -> FileKind:
    """Return what the file at `path` is; what is in a hidden folder, or hidden, is none."""
    parts = path.split("/")
    if any(part.startswith(".") for part in parts):
        return FileKind.OTHER
    if parts[-1] in _RENDERERS:
        return FileKind.RENDERED
    return FileKind.MANIFEST if parts[-1].endswith(_ENDINGS) else FileKind.OTHER


def needs_rendering(path: str) -> str:
    """Return what is wrong with a file of kind `RENDERED`."""
    tool = _RENDERERS[path.rpartition("/")[2]]
    return f"is {tool}'s, and only plain manifests are applied so far: render them into a folder of their own"
