"""Reads the manifests of a commit's folder. Blocks: call it in a thread."""

from agent.adapters.manifests import read
from agent.core.directory import printable
from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.files import FileKind, file_kind, needs_rendering
from agent.core.kubernetes.object import Manifest, Origin
from agent.core.tree import EntryMode, TreeEntry
from agent.ports.git import TreeReader

__all__ = ["read_tree"]

_FILES = (EntryMode.FILE, EntryMode.EXECUTABLE)


def read_tree(reader: TreeReader) -> tuple[list[Manifest], list[Fault]]:
    """Return the manifests of a folder, in the order of their names, and what is wrong with them.

    Raises:
        TreeTooLargeError: it is beyond a bound.
        GitError: it cannot be read.
    """
    manifests: list[Manifest] = []
    faults: list[Fault] = []
    for entry in sorted(reader.entries, key=lambda entry: entry.path):
        found, wrong = _read(reader, entry, printable(entry.path))
        manifests += found
        faults += wrong
    return manifests, faults


def _read(reader: TreeReader, entry: TreeEntry, name: str) -> tuple[list[Manifest], list[Fault]]:
    kind = file_kind(name)
    if kind is FileKind.OTHER:
        return [], []
    place = Origin(path=name, document=1, line=1)
    if kind is FileKind.RENDERED:
        return [], [Fault(origin=place, problem=needs_rendering(name))]
    if entry.mode not in _FILES:
        return [], [
            Fault(origin=place, problem="is a link or a submodule, which are not followed: put the file there")
        ]
    return read(name, reader.blob(entry.oid))
