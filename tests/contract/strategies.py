"""Every value of the contract, made from the same type hints and kinds that its reader is driven by."""

import string
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from bellpull.contract.cursor import Cursor
from bellpull.contract.event import RefUpdated
from bellpull.contract.message import TYPES, Data, Message
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.text import (
    KINDS,
    CommitId,
    Host,
    MessageId,
    Name,
    Note,
    RefName,
    RepositoryPath,
    Source,
    Subject,
    SyncName,
    TraceParent,
    TreePath,
)
from bellpull.contract.word import Word

__all__ = ["cursors", "data", "full", "json_values", "messages", "of", "ref_names", "repository_paths"]

_LOWER = string.ascii_lowercase + string.digits
_TEXT = st.characters(codec="utf-8")
_PRINTABLE = st.characters(exclude_categories=("Cs", "Cc"))
_PART = st.text(st.one_of(st.sampled_from(_LOWER + ".-_#*%!+~@ "), _PRINTABLE), min_size=1, max_size=40)


def _kind(strategy: st.SearchStrategy[str], kind: Any) -> st.SearchStrategy[str]:
    return strategy.filter(KINDS[kind].admits)


def _parts(part: st.SearchStrategy[str], least: int) -> st.SearchStrategy[str]:
    return st.lists(part, min_size=least, max_size=5).map("/".join)


_names = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(_LOWER),
    st.text(_LOWER + ".-", max_size=61),
    st.sampled_from(_LOWER),
)
_ids = st.text(string.ascii_letters + string.digits + "._:-", min_size=1, max_size=200)
_commits = st.sampled_from([40, 64]).flatmap(lambda size: st.text("0123456789abcdef", min_size=size, max_size=size))
_ref_part = st.text(
    st.one_of(st.sampled_from(_LOWER + "AZ.-_#%!+@{}"), st.characters(min_codepoint=0x21, codec="utf-8")),
    min_size=1,
    max_size=60,
)
ref_names = _kind(_parts(_ref_part, 1), RefName)
repository_paths = _kind(_parts(_PART, 1), RepositoryPath)

_BY_HINT: Mapping[Any, st.SearchStrategy[Any]] = {
    CommitId: _kind(_commits, CommitId),
    MessageId: _ids,
    Name: _names,
    SyncName: st.tuples(_names, _names).map("/".join),
    Host: st.one_of(_kind(_names, Host), st.sampled_from(["::1", "127.0.0.1", "git.example", "a." * 126 + "b"])),
    RepositoryPath: repository_paths,
    RefName: ref_names,
    TreePath: _kind(_parts(_PART, 0), TreePath),
    Note: _kind(st.text(_TEXT, max_size=300), Note),
    Source: _kind(st.text(_TEXT, min_size=1, max_size=300), Source),
    Subject: _kind(st.text(_TEXT, max_size=300), Subject),
    TraceParent: st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    str: st.text(_TEXT, max_size=30),
    bool: st.booleans(),
    int: st.integers(0, 2**53 - 1),
    float: st.floats(0, 2**53, exclude_max=True, allow_nan=False).map(abs),
    datetime: st.datetimes(timezones=st.just(UTC)),
}


def of(hint: Any, *, complete: bool = False) -> st.SearchStrategy[Any]:
    """Return values of a type of the contract; `complete` ones have every field that can be left out."""
    if hint in _BY_HINT:
        return _BY_HINT[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        return st.lists(of(args[0], complete=complete), min_size=int(complete), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(of(args[0]), of(args[1]), min_size=int(complete), max_size=3)
    if type(None) in args:
        inner = of(args[0], complete=complete)
        return inner if complete else st.none() | inner
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    assert is_dataclass(hint)
    return _dataclasses(hint, complete=complete)


def _dataclasses(cls: Any, *, complete: bool) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(cls):
        left_out = field.default is not MISSING or field.default_factory is not MISSING
        (optional if left_out and not complete else required)[field.name] = of(hints[field.name], complete=complete)
    return st.fixed_dictionaries(required, optional=optional).map(lambda found: _mended(cls, found))


def _mended(cls: Any, found: dict[str, Any]) -> Any:
    """Make what the rules between fields demand."""
    if cls is RefUpdated:
        if found["before"] is None and found["after"] is None:
            found["after"] = "a" * 40
        found["deleted"] = found["after"] is None
    if cls is Report and found["word"] is Word.SUPERSEDED and found.get("superseded_by") is None:
        found["superseded_by"] = "b" * 40
    if cls is Heartbeat and found.get("full"):
        found["full"] = tuple({state.sync: state for state in found["full"]}.values())
    return cls(**found)


data: st.SearchStrategy[Data] = st.sampled_from(list(TYPES.values())).flatmap(of)
messages: st.SearchStrategy[Message] = data.flatmap(
    lambda value: st.builds(
        Message,
        id=_ids,
        source=st.just("/hooks/github"),
        time=_BY_HINT[datetime],
        data=st.just(value),
        traceparent=st.none() | _BY_HINT[TraceParent],
    )
)
cursors = st.builds(Cursor, epoch=st.text(_LOWER, min_size=8, max_size=32), seq=st.integers(0, 2**53 - 1))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(_TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(_TEXT, max_size=10), inner, max_size=3),
    max_leaves=8,
)


def full(cls: type[Data]) -> st.SearchStrategy[Message]:
    """Return messages of one type with every field that can be left out."""
    return of(cls, complete=True).map(
        lambda value: replace(
            Message(id=MessageId("m-1"), source="/hooks/github", time=datetime(2026, 1, 1, tzinfo=UTC), data=value),
            traceparent=TraceParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        )
    )
