"""Reads the manifests of a folder of this machine, or one file. Blocks: call it off the event loop."""

from collections.abc import Iterator
from pathlib import Path

from agent.adapters.manifests import MAX_FILE, read
from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.files import FileKind, file_kind, needs_rendering
from agent.core.kubernetes.object import Manifest, Origin

__all__ = ["read_folder"]


def read_folder(path: Path) -> tuple[list[Manifest], list[Fault]]:
    """Return the manifests below `path`, in the order of their names, and what is wrong with them.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    if not path.is_dir():
        return read(path.name, _bytes(path))
    manifests: list[Manifest] = []
    faults: list[Fault] = []
    for name in sorted(_files(path)):
        if file_kind(name) is FileKind.RENDERED:
            faults.append(Fault(origin=Origin(path=name, document=1, line=1), problem=needs_rendering(name)))
        elif file_kind(name) is FileKind.MANIFEST:
            found, wrong = read(name, _bytes(path / name))
            manifests += found
            faults += wrong
    return manifests, faults


def _files(folder: Path) -> Iterator[str]:
    """Yield all files, without following links to folders."""
    for found in folder.rglob("*"):
        if found.is_file():
            yield found.relative_to(folder).as_posix()


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE + 1)
