"""The files that Syncs are written in: read together, as two Syncs may contradict each other across files."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from agent.spec import Sync
from bellpull.contract.text import SyncName
from bellpull.runtime.config import ConfigError, Problem, load_documents, parse

__all__ = ["load_sync_files", "load_syncs"]

_SUFFIXES: Final = frozenset({".yaml", ".yml"})


def load_sync_files(path: Path) -> tuple[Sync, ...]:
    """Read the Syncs of a file or of all `*.yaml` files of a folder, in the order of their names.

    Raises:
        ConfigError: everything that is wrong with them, each with file, document and field.
    """
    files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise ConfigError(path, (Problem(path="", problem="has no *.yaml file"),))
    return load_syncs({file: load_documents(file) for file in files})


@dataclass(frozen=True, slots=True)
class _Found:
    """A Sync, and where it is written."""

    sync: Sync
    file: Path
    document: int

    @property
    def target(self) -> PurePosixPath | None:
        directory = self.sync.spec.target.directory
        return PurePosixPath(directory.path) if directory else None

    def called(self, other: "_Found") -> str:
        """Name this one in a problem of `other`."""
        place = f"document {self.document}"
        return place if other.file == self.file else f"{self.file.name} {place}"


_Wrong = tuple[Path, Problem]


def load_syncs(files: Mapping[Path, Iterable[tuple[int, object]]]) -> tuple[Sync, ...]:
    """Read the documents (number from 1, value) of each file; paths of targets come back absolute.

    Raises:
        ConfigError: with everything that is wrong, each with file, document and field.
    """
    found: list[_Found] = []
    wrong: list[_Wrong] = []
    for file, documents in files.items():
        for number, value in documents:
            sync, problems = parse(Sync, value, where=f"document {number} ")
            wrong += [(file, Problem(path=each.path.strip(), problem=each.problem)) for each in problems]
            if sync is not None:
                found.append(_Found(sync.within(file.parent), file, number))
    wrong += [*_same_names(found), *_same_targets(found)]
    if wrong:
        raise _error(wrong)
    return tuple(each.sync for each in found)


def _same_names(found: list[_Found]) -> Iterator[_Wrong]:
    first: dict[SyncName, _Found] = {}
    for each in found:
        other = first.setdefault(each.sync.name, each)
        if other is not each:
            yield _wrong(each, "metadata.name", f"{each.sync.name} is there twice: also in {other.called(each)}")


def _same_targets(found: list[_Found]) -> Iterator[_Wrong]:
    """Find targets that are the same, or one inside the other: each would undo the other as drift."""
    first: dict[PurePosixPath, _Found] = {}
    placed = [(each.target, each) for each in found if each.target is not None]
    for target, each in sorted(placed, key=lambda one: len(one[0].parts)):
        above = next((first[path] for path in (target, *target.parents) if path in first), None)
        first.setdefault(target, each)
        if above is not None and above.sync.name != each.sync.name:
            how = "is" if above.target == target else "is inside"
            names = f"{above.sync.name} ({above.called(each)})"
            yield _wrong(each, "spec.target.directory.path", f"of {each.sync.name} {how} the target of {names}")


def _wrong(each: _Found, field: str, problem: str) -> _Wrong:
    return each.file, Problem(path=f"document {each.document} {field}", problem=problem)


def _error(wrong: list[_Wrong]) -> ConfigError:
    """Blame the file, or where several have problems their folder, with the file's name before each."""
    files = {file for file, _ in wrong}
    if len(files) == 1:
        return ConfigError(files.pop(), [problem for _, problem in wrong])
    problems = [Problem(path=f"{file.name} {each.path}", problem=each.problem) for file, each in wrong]
    return ConfigError(Path(os.path.commonpath([file.parent for file in files])), problems)
