"""What a release is to hold, what was found there, and what to do with old ones.

A release's record is kept beside it, so that after a restart all of it can be checked without asking Git. An old
release is never gone back to (a rollback is a commit), so one that drifted is no special case: it goes when its
number is up.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from agent.core.directory import ReleasePlan, parents, printable
from agent.core.tree import EntryMode
from bellpull.contract.report import Counts

__all__ = [
    "FILE_MODE",
    "FOLDER_MODE",
    "PROGRAM_MODE",
    "Drift",
    "Item",
    "Kind",
    "Record",
    "RecordError",
    "ReleaseName",
    "compare",
    "count",
    "expected",
    "releases_to_remove",
]

FILE_MODE: Final = 0o644
PROGRAM_MODE: Final = 0o755
FOLDER_MODE: Final = 0o755
_MAX_NAMED: Final = 10
_NAME: Final = re.compile(r"(?P<number>[1-9][0-9]{0,17})-(?P<tree>[0-9a-f]{12})", re.ASCII)


class Kind(StrEnum):
    """What something in a folder is."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    OTHER = "device, pipe or socket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing in a release.

    Attributes:
        kind: what it is.
        mode: its permission bits; 0 for a link, which has none of its own.
        oid: Git's id for its content; empty for what has none.
    """

    kind: Kind
    mode: int
    oid: str = ""


def expected(plan: ReleasePlan) -> dict[bytes, Item]:
    """Return what is there once `plan` was carried out, by path; the root itself is the empty path."""
    items = {folder: Item(kind=Kind.FOLDER, mode=FOLDER_MODE) for folder in (b"", *plan.folders)}
    for file in plan.files:
        mode = PROGRAM_MODE if file.executable else FILE_MODE
        items[file.path] = Item(kind=Kind.FILE, mode=mode, oid=file.oid)
    items.update({link.path: Item(kind=Kind.LINK, mode=0, oid=link.oid) for link in plan.links})
    return items


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """In what a release differs from what it is to hold; each path is in one list."""

    missing: tuple[bytes, ...] = ()
    extra: tuple[bytes, ...] = ()
    replaced: tuple[bytes, ...] = ()
    """Of another kind: a link where a file was."""
    changed: tuple[bytes, ...] = ()
    """With other bytes, or a link with another target."""
    mode: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        """Name up to ten paths, and count the rest."""
        named = list(self._named())
        rest = [f"and {len(named) - _MAX_NAMED} more"] if len(named) > _MAX_NAMED else []
        return ", ".join(named[:_MAX_NAMED] + rest)

    def _named(self) -> Iterator[str]:
        for paths, what in (
            (self.missing, "is gone"),
            (self.extra, "is not in Git"),
            (self.replaced, "is of another kind"),
            (self.changed, "has other content"),
            (self.mode, "has other permissions"),
        ):
            yield from (f"{printable(path)} {what}" for path in paths)


def compare(wanted: Mapping[bytes, Item], found: Mapping[bytes, Item]) -> Drift | None:
    """Return in what `found` differs from `wanted`, or None."""
    both = sorted(path for path in wanted.keys() & found.keys() if wanted[path] != found[path])
    same_kind = [path for path in both if wanted[path].kind is found[path].kind]
    drift = Drift(
        missing=tuple(sorted(wanted.keys() - found.keys())),
        extra=tuple(sorted(found.keys() - wanted.keys())),
        replaced=tuple(path for path in both if wanted[path].kind is not found[path].kind),
        changed=tuple(path for path in same_kind if wanted[path].oid != found[path].oid),
        mode=tuple(path for path in same_kind if wanted[path].oid == found[path].oid),
    )
    return None if drift == Drift() else drift


def count(before: Mapping[bytes, Item], after: Mapping[bytes, Item]) -> Counts:
    """Count what a switch from `before` to `after` does to files and links; folders are not counted."""
    old = {path: item for path, item in before.items() if item.kind is not Kind.FOLDER}
    new = {path: item for path, item in after.items() if item.kind is not Kind.FOLDER}
    unchanged = sum(1 for path, item in new.items() if old.get(path) == item)
    created = len(new.keys() - old.keys())
    return Counts(
        created=created,
        changed=len(new) - created - unchanged,
        unchanged=unchanged,
        deleted=len(old.keys() - new.keys()),
    )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ReleaseName:
    """A release's folder: a number that only grows, and the start of its tree's id for people."""

    number: int
    tree: str

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Read the name of a folder; None where it is none of ours."""
        match = _NAME.fullmatch(name)
        return None if match is None else cls(number=int(match["number"]), tree=match["tree"])

    @classmethod
    def after(cls, names: Collection["ReleaseName"], tree: str) -> Self:
        """Return the name that follows all of `names`."""
        return cls(number=max((name.number for name in names), default=0) + 1, tree=tree[:12])

    def __str__(self) -> str:
        return f"{self.number}-{self.tree}"


def releases_to_remove(
    releases: Collection[ReleaseName], current: ReleaseName | None, keep: int
) -> tuple[ReleaseName, ...]:
    """Return the releases that go, oldest first: all but the current one and the newest others, `keep` in all."""
    others = sorted(set(releases) - {current}, reverse=True)
    return tuple(sorted(others[max(keep - 1, 0) :]))


class RecordError(ValueError):
    """Bytes that are no record of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a release was made from: its tree's whole id, the commit that brought it, and what it holds."""

    tree: str
    commit: str
    items: Mapping[bytes, Item]

    def encode(self) -> bytes:
        """Return it as NUL-ended lines, like `git ls-tree -z`; equal records give equal bytes."""
        head = f"bellpull release 1 {self.tree} {self.commit}".encode()
        lines = (_line(path, item) for path, item in sorted(self.items.items()) if item.kind is not Kind.FOLDER)
        return b"".join(line + b"\0" for line in (head, *lines, b"end"))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a record.

        Raises:
            RecordError: it is none, or not all of one.
        """
        head, *lines = data.split(b"\0")
        match = re.fullmatch(rb"bellpull release 1 ([0-9a-f]{40,64}) ([0-9a-f]{40,64})", head)
        if match is None or lines[-2:] != [b"end", b""]:
            raise RecordError("is no record of a release")
        items = dict(_item(line) for line in lines[:-2])
        return cls(tree=match[1].decode(), commit=match[2].decode(), items=_folders(items) | items)


def _line(path: bytes, item: Item) -> bytes:
    return f"{_mode(item)} {item.oid}\t".encode() + path


def _mode(item: Item) -> EntryMode:
    if item.kind is Kind.LINK:
        return EntryMode.LINK
    return EntryMode.EXECUTABLE if item.mode == PROGRAM_MODE else EntryMode.FILE


def _folders(paths: Iterable[bytes]) -> dict[bytes, Item]:
    above = {folder for path in paths for folder in parents(path)}
    return {folder: Item(kind=Kind.FOLDER, mode=FOLDER_MODE) for folder in (b"", *above)}


_ITEMS: Final[Mapping[bytes, tuple[Kind, int]]] = {
    b"100644": (Kind.FILE, FILE_MODE),
    b"100755": (Kind.FILE, PROGRAM_MODE),
    b"120000": (Kind.LINK, 0),
}


def _item(line: bytes) -> tuple[bytes, Item]:
    match = re.fullmatch(rb"(\d{6}) ([0-9a-f]{40,64})\t(.+)", line, re.DOTALL)
    if match is None or match[1] not in _ITEMS:
        raise RecordError("has a line that is no entry")
    kind, mode = _ITEMS[match[1]]
    return match[3], Item(kind=kind, mode=mode, oid=match[2].decode())
