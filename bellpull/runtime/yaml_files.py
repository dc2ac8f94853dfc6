"""YAML files: the documents of one, and what is wrong with it, by line.

A file may be written to do harm, and the C parser builds what it is told to, by recursion: so size and nesting are
bounded, and what lets a small file stand for a large value (anchors, aliases, merge keys) or has a value built in
another way (tags) is refused, all before anything is built. What the values mean is `bellpull.runtime.config`'s to
say. No error repeats a value, since it may be a secret. Reads files: call it off the event loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["MAX_FILE", "Flaw", "YamlError", "read_documents"]

MAX_FILE: Final = 1024 * 1024
_MAX_DEPTH: Final = 50
_MAX_PLAIN: Final = 4096
"""Characters of a text without quotes: it may be a number in base 60, read in the square of its length."""

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
        YamlError: it is no YAML, or is beyond the bounds.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise YamlError(Flaw(line=None, problem="is larger than 1 MiB"))
    try:
        _check(data)
        loader = _Loader(data)
        try:
            return list(_each(loader)), tuple(loader.twice)
        finally:
            loader.dispose()
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise YamlError(_flaw(error)) from None


def _check(data: bytes) -> None:
    """Go on if what the parser finds may be built; it finds one thing after the other, without recursion.

    Raises:
        YamlError: it may not.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        problem = f"is nested more than {_MAX_DEPTH} deep" if depth > _MAX_DEPTH else _refused(event)
        if problem is not None:
            raise YamlError(Flaw(line=_line(event.start_mark), problem=problem))


def _refused(event: yaml.Event) -> str | None:
    if isinstance(event, yaml.AliasEvent):
        return "aliases are not used here"
    if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
        return None
    if event.anchor is not None:
        return "anchors are not used here"
    if event.tag is not None:
        return _UNKNOWN
    return _refused_plain(event.value) if isinstance(event, yaml.ScalarEvent) and event.implicit[0] else None


def _refused_plain(value: str) -> str | None:
    if value == "<<":
        return "merge keys are not used here (quote a text that is '<<')"
    return f"is an unquoted text of more than {_MAX_PLAIN} characters" if len(value) > _MAX_PLAIN else None


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
    if isinstance(error, yaml.YAMLError | UnicodeError):
        return Flaw(line=None, problem="is not YAML in UTF-8")
    return Flaw(line=None, problem="has a number or date that is none (quote it, if it is a text)")


def _line(mark: Any) -> int:
    return int(mark.line) + 1
