"""What the commits in a mirror say of each other, whatever was fetched how deep.

Parents are read from the commits themselves. A fetch of depth 1 makes libgit2 pretend that its tip has none, though
they may be in the mirror from before; read like this nothing is forgotten, and a parent that is not there is what a
shallow boundary is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pygit2
from pygit2.enums import ObjectType

from agent.adapters.git.limit import Limit
from agent.core.ancestry import Ancestry

__all__ = ["Search", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was found.

    Attributes:
        ancestry: UNKNOWN where the other commit was not met and some parent is not in the mirror.
        depth: how many commits deep the mirror is complete below the tip, at least; the tip alone is 1.
    """

    ancestry: Ancestry
    depth: int


def search(repository: pygit2.Repository, tip: str, other: str, limit: Limit) -> Search:
    """Look for `other` in the history of `tip`, as far as the mirror has it, generation by generation.

    Raises:
        StoppedError: it took too long.
    """
    if tip == other:
        return Search(ancestry=Ancestry.SAME, depth=1)
    seen, generation, depth, complete_to = {tip}, [tip], 0, None
    while generation:
        limit.check()
        above: list[str] = []
        for commit in generation:
            parents = _parents(repository, commit)
            if parents is None:
                complete_to = depth if complete_to is None else complete_to
                continue
            new = [parent for parent in parents if parent not in seen]
            if other in new:
                return Search(ancestry=Ancestry.CONTAINS, depth=depth + 2)
            seen.update(new)
            above += new
        generation, depth = above, depth + 1
    if complete_to is None:
        return Search(ancestry=Ancestry.DIVERGED, depth=depth)
    return Search(ancestry=Ancestry.UNKNOWN, depth=complete_to)


def _parents(repository: pygit2.Repository, commit: str) -> tuple[str, ...] | None:
    """Return the ids of a commit's parents, None if the commit is not in the mirror."""
    try:
        kind, data = repository.read(commit)
    except KeyError:
        return None
    return tuple(_parent_lines(data)) if kind == ObjectType.COMMIT else ()


def _parent_lines(data: bytes) -> Iterator[str]:
    for line in data.partition(b"\n\n")[0].split(b"\n")[1:]:
        if not line.startswith(b"parent "):
            return
        yield line[7:].decode("ascii")
