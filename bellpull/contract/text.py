"""Strings that were looked at: each kind is a type of its own, made only by `text(Kind, value)`.

A commit is not a branch name, and a checker should know. The table `KINDS` says what each kind admits; the
reader, the JSON Schema and the reference are made from it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NewType, TypeVar

from bellpull.contract.errors import ContractError

__all__ = [
    "KINDS",
    "CommitId",
    "Host",
    "Kind",
    "MessageId",
    "Name",
    "Note",
    "RefName",
    "RepositoryPath",
    "Source",
    "Subject",
    "SyncName",
    "TraceParent",
    "TreePath",
    "is_ref_name",
    "text",
]

CommitId = NewType("CommitId", str)
"""A Git object id: 40 or 64 lower-case hexadecimal digits, never all zero."""
MessageId = NewType("MessageId", str)
"""The id of an event, a report or a heartbeat, unique for its source."""
Name = NewType("Name", str)
"""An agent, a source, a provider, an environment, an installation: up to 63 of a-z, 0-9, `-`, `.`."""
SyncName = NewType("SyncName", str)
"""A Sync as `namespace/name`."""
Host = NewType("Host", str)
"""A host name or address in lower case, without a port."""
RepositoryPath = NewType("RepositoryPath", str)
"""What follows the host in a clone URL, without slashes at the ends and without `.git`."""
RefName = NewType("RefName", str)
"""A branch or tag without `refs/heads/` or `refs/tags/`.

As `git check-ref-format --allow-onelevel` admits it, in Unicode, and without a dash at its start.
"""
TreePath = NewType("TreePath", str)
"""A folder inside a repository: relative, `/` between parts, empty for the root."""
Note = NewType("Note", str)
"""A sentence for people, up to 1 KiB of UTF-8 (R47)."""
Source = NewType("Source", str)
"""Who says a message: a URI reference."""
Subject = NewType("Subject", str)
"""What a message is about, for people and filters."""
TraceParent = NewType("TraceParent", str)
"""A W3C trace context, version 00."""

_T = TypeVar("_T", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of string admits.

    Attributes:
        pattern: regular expression (Python and ECMA 262 read it alike) for the whole string.
        max_bytes: of its UTF-8.
        means: what to call it in an error.
    """

    pattern: str
    max_bytes: int
    means: str
    _whole: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the pattern."""
        object.__setattr__(self, "_whole", re.compile(self.pattern))

    def admits(self, value: str) -> bool:
        """Whether `value` is of this kind."""
        short = len(value.encode("utf-8", "surrogatepass")) <= self.max_bytes
        return short and self._whole.fullmatch(value) is not None


_LABEL: Final = r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
_ANY: Final = r"[^\n]*"
"""Not `.*`: to ECMA 262 a dot is no U+2028 either."""
_REF: Final = (
    rf"(?!-)(?!@$)(?!{_ANY}(?:\.\.|@\{{|//))(?!(?:{_ANY}/)?\.)(?!{_ANY}\.lock(?:/|$))(?!/)(?!{_ANY}[/.]$)"
    r"[^\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]+"
)
_NO_CONTROL: Final = r"\x00-\x1f\x7f\ud800-\udfff"

KINDS: Final[Mapping[Any, Kind]] = {
    CommitId: Kind(
        pattern=r"(?!0+$)[0-9a-f]{40}(?:[0-9a-f]{24})?",
        max_bytes=64,
        means="a commit id of 40 or 64 hexadecimal digits, not all zero",
    ),
    MessageId: Kind(pattern=r"[A-Za-z0-9._:-]{1,200}", max_bytes=200, means="a message id"),
    Name: Kind(pattern=_LABEL, max_bytes=63, means="a name of a-z, 0-9, '-' and '.', up to 63 characters"),
    SyncName: Kind(pattern=f"{_LABEL}/{_LABEL}", max_bytes=127, means="a Sync as namespace/name"),
    Host: Kind(
        pattern=r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]{2,45}",
        max_bytes=253,
        means="a host in lower case without port",
    ),
    RepositoryPath: Kind(
        pattern=rf"(?!/)(?!{_ANY}/$)(?!{_ANY}\.[Gg][Ii][Tt]$)[^{_NO_CONTROL}]+",
        max_bytes=1024,
        means="a repository path without slashes at the ends and without .git",
    ),
    RefName: Kind(pattern=_REF, max_bytes=1000, means="a ref name that git check-ref-format admits"),
    TreePath: Kind(
        pattern=rf"(?!/)(?!{_ANY}/$)(?!(?:{_ANY}/)?\.{{1,2}}(?:/|$))(?!{_ANY}//)[^{_NO_CONTROL}]*",
        max_bytes=1024,
        means="a relative folder without '.', '..' and empty parts",
    ),
    Source: Kind(pattern=rf"[^{_NO_CONTROL}]+", max_bytes=1024, means="a source of up to 1 KiB"),
    Subject: Kind(pattern=rf"[^{_NO_CONTROL}]*", max_bytes=4096, means="a subject of up to 4 KiB"),
    Note: Kind(pattern=r"[^\ud800-\udfff]*", max_bytes=1024, means="a note of up to 1 KiB"),
    TraceParent: Kind(
        pattern=r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}",
        max_bytes=55,
        means="a W3C traceparent",
    ),
}


def text(kind: type[_T], value: object, path: str = "") -> _T:
    """Return `value` as `kind`.

    Raises:
        ContractError: it is no string of that kind; the message names the kind, not the value.
    """
    rule = KINDS[kind]
    if not isinstance(value, str) or not rule.admits(value):
        raise ContractError(path, f"is not {rule.means}")
    return kind(value)


def is_ref_name(value: str) -> bool:
    """Whether Git, and we, take `value` as the name of a branch or tag (no leading dash)."""
    return KINDS[RefName].admits(value)
