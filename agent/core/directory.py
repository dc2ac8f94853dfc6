"""From what Git lists to a release: a plan, or every reason why there can be none.

A plan holds only what stays inside its root: relative paths without `.`, `..`, `.git` and empty parts, and links
whose every hop, through other links too, ends inside. Problems are all found at once, each naming its path.
A link that leads nowhere inside the tree is allowed: Git has it so. However hostile the links, following them takes a
bounded number of steps: what is beyond is refused.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.bounds import MAX_DEPTH, MAX_LINK
from agent.core.tree import EntryMode, TreeEntry

__all__ = ["PlannedFile", "PlannedLink", "Problem", "ReleasePlan", "parents", "plan_release", "printable"]

_MAX_PART: Final = 255
_MAX_HOPS: Final = 40
"""How many links Linux follows in one path."""
_MAX_STEPS: Final = 4_000_000
"""How many names are followed for all links of a tree: some seconds. 200,000 links take half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why an entry cannot be part of a release."""

    path: bytes
    problem: str

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file to write: the bytes of `oid`, executable or not."""

    path: bytes
    oid: str
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLink:
    """A symbolic link to make; `oid` is the id of `target` as a blob."""

    path: bytes
    oid: str
    target: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """All of a release; folders come before what is in them, and everything is in order of its path."""

    folders: tuple[bytes, ...]
    files: tuple[PlannedFile, ...]
    links: tuple[PlannedLink, ...]


def printable(path: bytes) -> str:
    """Return `path` for an error or a log: on one line, and different for different paths."""
    text = path.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
    return (
        "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text) or "(root)"
    )


def parents(path: bytes) -> Iterator[bytes]:
    """Yield the folders above `path`, outermost first, without the root."""
    end = path.find(b"/")
    while end != -1:
        yield path[:end]
        end = path.find(b"/", end + 1)


def plan_release(
    entries: Sequence[TreeEntry], targets: Mapping[bytes, bytes], *, room: int
) -> ReleasePlan | tuple[Problem, ...]:
    """Plan the release of a tree, or say everything that is wrong with it.

    Args:
        entries: all entries of the tree, in any order.
        targets: what the links hold, by path; one for every entry that is a link.
        room: how many bytes a path may have below the folder of releases.
    """
    problems = [*_unholdable(entries, room), *_collisions(entries)]
    links = {entry.path: targets[entry.path] for entry in entries if entry.mode is EntryMode.LINK}
    problems += _refused_links(links)
    return tuple(problems) or _plan(sorted(entries, key=lambda entry: entry.path), links)


def _plan(entries: Sequence[TreeEntry], links: Mapping[bytes, bytes]) -> ReleasePlan:
    return ReleasePlan(
        folders=tuple(sorted({folder for entry in entries for folder in parents(entry.path)})),
        files=tuple(
            PlannedFile(path=entry.path, oid=entry.oid, executable=entry.mode is EntryMode.EXECUTABLE)
            for entry in entries
            if entry.mode in (EntryMode.FILE, EntryMode.EXECUTABLE)
        ),
        links=tuple(
            PlannedLink(path=entry.path, oid=entry.oid, target=links[entry.path])
            for entry in entries
            if entry.mode is EntryMode.LINK
        ),
    )


def _unholdable(entries: Iterable[TreeEntry], room: int) -> Iterator[Problem]:
    for entry in entries:
        if entry.mode is EntryMode.GITLINK:
            yield Problem(path=entry.path, problem="is a submodule; they are not fetched: put the files in the tree")
        why = _refused_path(entry.path, room)
        if why:
            yield Problem(path=entry.path, problem=why)


def _refused_path(path: bytes, room: int) -> str | None:
    if len(path) > room:
        return f"has {len(path)} bytes, and below this target a path may have {room}"
    if b"\0" in path:
        return "holds a NUL byte, which no file system can"
    parts = path.split(b"/")
    if len(parts) > MAX_DEPTH:
        return f"lies {len(parts)} levels deep, and {MAX_DEPTH} is the most"
    for part in parts:
        if part in (b"", b".", b".."):
            return f"has a part {printable(part) if part else 'that is empty'}, which is not a name"
        if part.lower() == b".git":
            return "has a part .git, which Git keeps for itself"
        if len(part) > _MAX_PART:
            return f"has a part of {len(part)} bytes, and file systems hold {_MAX_PART}"
    return None


def _collisions(entries: Iterable[TreeEntry]) -> Iterator[Problem]:
    seen: set[bytes] = set()
    for entry in entries:
        if entry.path in seen:
            yield Problem(path=entry.path, problem="is in the tree twice")
        seen.add(entry.path)
    for path in sorted(seen & {folder for inner in seen for folder in parents(inner)}):
        yield Problem(path=path, problem="is in the tree both as a folder and as something else")


class _TooManyStepsError(Exception):
    """Following links has cost enough."""


@dataclass(slots=True)
class _Steps:
    """How many names may still be followed."""

    left: int = _MAX_STEPS

    def split(self, path: bytes) -> list[bytes]:
        """Return the names in a path, each of which costs a step.

        Raises:
            _TooManyStepsError: there are not as many left.
        """
        names = path.split(b"/")
        self.left -= len(names)
        if self.left < 0:
            raise _TooManyStepsError
        return names


def _refused_links(links: Mapping[bytes, bytes]) -> Iterator[Problem]:
    steps = _Steps()
    for path, target in links.items():
        try:
            why = _refused_target(target) or _walk(path, links, steps)
        except _TooManyStepsError:
            why = f"is where following the tree's links came to {_MAX_STEPS} steps: make them fewer or shorter"
            yield Problem(path=path, problem=why)
            return
        if why:
            yield Problem(path=path, problem=why)


def _refused_target(target: bytes) -> str | None:
    if not target or b"\0" in target or len(target) > MAX_LINK:
        return f"is a link to nothing a file system can hold: empty, with a NUL byte, or over {MAX_LINK} bytes"
    if target.startswith(b"/"):
        return f"is a link to {printable(target)}, which is not relative; only links inside the tree are made"
    return None


def _walk(path: bytes, links: Mapping[bytes, bytes], steps: _Steps) -> str | None:
    """Follow a link as the kernel would, and say where that leaves the tree or never ends.

    Raises:
        _TooManyStepsError: there are no `steps` left.
    """
    here: list[bytes] = []
    todo = deque(steps.split(path))
    hops = 0
    while todo:
        part = todo.popleft()
        if part == b".." and not here:
            return f"is a link to {printable(links[path])}, which leads out of the tree"
        _step(here, part)
        named = part not in (b"", b".", b"..") and len(here) <= MAX_DEPTH  # deeper ones are refused anyway
        target = links.get(b"/".join(here)) if named else None
        if target is None:
            continue
        hops += 1
        if hops > _MAX_HOPS:
            return f"is a link that leads in a circle or through more than {_MAX_HOPS} links"
        if target.startswith(b"/"):
            return f"is a link to {printable(links[path])}, which leads out of the tree"
        here.pop()
        todo.extendleft(reversed(steps.split(target)))
    return None


def _step(here: list[bytes], part: bytes) -> None:
    if part == b"..":
        here.pop()
    elif part not in (b"", b"."):
        here.append(part)
