"""Reads manifests from the bytes of a file: YAML as kubectl reads it, or JSON.

A file may be written to do harm. What the parser finds is built without recursion, so that nesting costs no stack;
nesting is bounded, and so is what aliases stand for. Keys that are there twice are faults: of two values a person
meant one. No fault repeats a value, since it may be a secret. Blocks, for large files for long: call it off the loop.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.object import Manifest, Origin
from agent.core.kubernetes.scalars import NotAValueError, key, plain, tagged

__all__ = ["MAX_FILE", "read"]

MAX_FILE: Final = 32 << 20
_MAX_DEPTH: Final = 100
_MAX_COPIED: Final = 200_000
"""Values that aliases of one file may stand for together."""
_MERGE: Final = "<<"


def read(path: str, data: bytes) -> tuple[list[Manifest], list[Fault]]:
    """Return the documents of a file that are not empty, and what is wrong with it.

    Args:
        path: of the file, for faults; what ends in `.json` is read as JSON.
        data: its bytes.
    """
    whole = Origin(path=path, document=1, line=1)
    if len(data) > MAX_FILE:
        return [], [Fault(origin=whole, problem=f"is larger than {MAX_FILE >> 20} MiB: split it")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [], [Fault(origin=whole, problem="is not in UTF-8")]
    if path.endswith(".json"):
        return _read_json(text, whole)
    if text.lstrip().startswith("{"):  # JSON in a YAML file: nearly all of it is YAML, and it is read faster
        manifests, faults = _read_json(text, whole)
        if not faults:
            return manifests, faults
    return _read_yaml(path, text)


class _BadError(Exception):
    """A document cannot be built: the line, and why."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is being built."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    key: str | None = None
    merged: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Builder:
    """Builds one document from what the parser finds."""

    anchors: dict[str, Any] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    root: Any = None
    copied: int = 0

    def take(self, event: yaml.Event) -> None:
        """Go on by one event.

        Raises:
            _BadError: it cannot be.
        """
        line = _line(event.start_mark)
        match event:
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end(line)
            case yaml.AliasEvent():
                if event.anchor not in self.anchors:
                    raise _BadError(line, "has an alias within what it stands for, or of nothing")
                self._put(self._copy(self.anchors[event.anchor], line), line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        try:
            value = plain(event.value) if event.implicit[0] and event.tag is None else _quoted(event)
            opened = self.open[-1] if self.open else None
            if opened is not None and isinstance(opened.value, dict) and opened.key is None:
                is_merge = event.implicit[0] and event.value == _MERGE
                self._key(opened, _MERGE_KEY if is_merge else key(value), line)
                return
        except NotAValueError as error:
            raise _BadError(line, str(error)) from None
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        self._put(value, line)

    def _key(self, opened: _Open, name: str, line: int) -> None:
        if name is not _MERGE_KEY and name in opened.value:
            raise _BadError(line, f"the key {name!r} is there twice")
        opened.key = name

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        if event.tag not in (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _BadError(line, "has a tag that is not known here")
        if len(self.open) >= _MAX_DEPTH:
            raise _BadError(line, f"is nested more than {_MAX_DEPTH} deep")
        opened = self.open[-1] if self.open else None
        if opened is not None and isinstance(opened.value, dict) and opened.key is None:
            raise _BadError(line, "has a mapping or a list as a key")
        self.open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))

    def _end(self, line: int) -> None:
        closed = self.open.pop()
        if isinstance(closed.value, dict):
            for merged in closed.merged:
                for name, value in merged.items():
                    closed.value.setdefault(name, value)
        if closed.anchor is not None:
            self.anchors[closed.anchor] = closed.value
        self._put(closed.value, line)

    def _put(self, value: Any, line: int) -> None:
        if not self.open:
            self.root = value
            return
        opened = self.open[-1]
        if isinstance(opened.value, list):
            opened.value.append(value)
        elif opened.key is None:
            raise _BadError(line, "has an alias as a key")
        elif opened.key is _MERGE_KEY:
            opened.merged += _mappings(value, line)
            opened.key = None
        else:
            opened.value[opened.key] = value
            opened.key = None

    def _copy(self, value: Any, line: int) -> Any:
        """Return a copy, so that what is changed in one place stays in the other; as deep as documents may be."""
        self.copied += 1
        if self.copied > _MAX_COPIED:
            raise _BadError(line, f"has aliases that stand for more than {_MAX_COPIED} values")
        if isinstance(value, dict):
            return {name: self._copy(each, line) for name, each in value.items()}
        if isinstance(value, list):
            return [self._copy(each, line) for each in value]
        return value


class _MergeKey(str):
    """Stands for `<<` without quotes; no text is the same object."""

    __slots__ = ()


_MERGE_KEY: Final = _MergeKey(_MERGE)


def _mappings(value: Any, line: int) -> list[dict[str, Any]]:
    """Return what a merge key merges; the first wins."""
    each = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in each):
        raise _BadError(line, "merges something that is no mapping")
    return each


def _quoted(event: yaml.ScalarEvent) -> Any:
    return event.value if event.tag is None else tagged(event.tag, event.value)


def _read_yaml(path: str, text: str) -> tuple[list[Manifest], list[Fault]]:
    manifests: list[Manifest] = []
    builder, origin = _Builder(), Origin(path=path, document=1, line=1)
    number = 0
    try:
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                number += 1
                builder, origin = _Builder(), Origin(path=path, document=number, line=_line(event.end_mark))
            elif isinstance(event, yaml.DocumentEndEvent):
                manifests += _manifest(builder.root, origin)
            else:
                origin = _begun(origin, builder, event)
                builder.take(event)
    except _BadError as error:
        return [], [Fault(origin=Origin(path=path, document=number, line=error.line), problem=error.problem)]
    except _NotAnObjectError:
        return [], [Fault(origin=origin, problem="is no object: a manifest is a mapping with apiVersion and kind")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Origin(path=path, document=max(number, 1), line=_line(mark) if mark else 1)
        return [], [
            Fault(origin=place, problem=f"is not YAML: {getattr(error, 'problem', None) or 'cannot be read'}")
        ]
    return manifests, []


def _begun(origin: Origin, builder: _Builder, event: yaml.Event) -> Origin:
    """Return where the document begins: where its first value is, below comments."""
    is_first = not builder.open and builder.root is None and isinstance(event, yaml.NodeEvent)
    return Origin(path=origin.path, document=origin.document, line=_line(event.start_mark)) if is_first else origin


def _line(mark: Any) -> int:
    return int(mark.line) + 1


def _events(text: str) -> Iterator[yaml.Event]:
    return iter(yaml.parse(text, Loader=yaml.CSafeLoader))


class _NotAnObjectError(Exception):
    """A document is something else than a mapping."""


def _manifest(value: Any, origin: Origin) -> list[Manifest]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise _NotAnObjectError
    return [Manifest(item=value, origin=origin)]


class _TwiceError(ValueError):
    """A key is there twice."""


def _read_json(text: str, origin: Origin) -> tuple[list[Manifest], list[Fault]]:
    try:
        value = _loaded(text) if text.strip() else None
        return _manifest(value, origin), []
    except _TwiceError as error:
        problem = f"the key {error.args[0]!r} is there twice"
    except json.JSONDecodeError as error:
        origin = Origin(path=origin.path, document=1, line=error.lineno)
        problem = f"is not JSON: {error.msg}"
    except (RecursionError, ValueError):
        problem = "is not JSON, or nested too deep"
    except _NotAnObjectError:
        problem = "is no object: a manifest is a mapping with apiVersion and kind"
    return [], [Fault(origin=origin, problem=problem)]


def _loaded(text: str) -> Any:
    """Return the value of a JSON text that other JSON readers take too.

    Raises:
        ValueError: there is none.
        RecursionError: it is nested too deep.
    """
    value = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=plain, parse_float=plain
    )
    level, depth = [value], 0
    while level := [inner for each in level for inner in _inside(each)]:
        depth += 1
        if depth > _MAX_DEPTH:
            raise RecursionError
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no character
    return value


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)
