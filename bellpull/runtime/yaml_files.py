"""YAML files: the documents of one, and what is wrong with it, by line.

What the values mean is `bellpull.runtime.config`'s to say. No error repeats a value, since it may be a secret. Reads
files: call it off the event loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["Flaw", "YamlError", "read_documents"]

_UNKNOWN: Final = "is a tag or key that is not known here (quote a value that begins with '!')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong, and in which line (from 1; None: no line in particular)."""

    line: int | None
    problem: str


class YamlError(ValueError):
    """A file of which nothing can be used.

    Attributes:
        flaw: why, and where.
    """

    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw
        super().__init__(flaw.problem if flaw.line is None else f"line {flaw.line}: {flaw.problem}")


def read_documents(path: Path) -> tuple[list[Any], tuple[Flaw, ...]]:
    """Return the documents of the file at `path` (None for an empty one), and the keys that are there twice.

    Raises:
        OSError: it cannot be read.
        YamlError: it is no YAML.
    """
    data = path.read_bytes()
    try:
        loader = _Loader(data)
        try:
            return list(_each(loader)), tuple(loader.twice)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(_flaw(error)) from None


class _Loader(yaml.CSafeLoader):
    """PyYAML's safe loader, which also sees keys that are there twice."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.twice: list[Flaw] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Build the mapping, noting keys that are there twice."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                self.twice.append(Flaw(line=_line(key.start_mark), problem=f"the key {key.value!r} is there twice"))
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _each(loader: _Loader) -> Iterator[Any]:
    while loader.check_data():  # type: ignore[no-untyped-call]  # PyYAML's stubs
        yield loader.get_data()


def _flaw(error: Exception) -> Flaw:
    if isinstance(error, yaml.constructor.ConstructorError) and error.problem_mark is not None:
        return Flaw(line=_line(error.problem_mark), problem=_UNKNOWN)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return Flaw(line=_line(error.problem_mark), problem=f"is not YAML: {error.problem}")
    return Flaw(line=None, problem="is not YAML in UTF-8")


def _line(mark: Any) -> int:
    return int(mark.line) + 1
