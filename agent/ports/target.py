"""What a Sync makes match a commit.

Everything here is level-triggered: `apply` makes it so whatever was there before, `drifted` compares with what
ought to be there, `changes` only says "look again" and may say so for nothing.
"""

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Protocol

from agent.ports.git import TreeReader
from bellpull.contract.report import Counts, Health
from bellpull.contract.text import CommitId

__all__ = ["Change", "CommandError", "Target", "TargetError"]


class Change(StrEnum):
    """Why to look again."""

    DRIFT = "drift"
    """What was applied may be another by now."""
    COME = "come"
    """What kept something from being applied may have passed: it is worth a try at once."""


class TargetError(Exception):
    """A target cannot be made to match, or not be looked at.

    Attributes:
        path: where, for people: the file, folder or tree entry that is in the way.
        problem: what is wrong there and what to do.
        permanent: whether the same tree with the same settings must end so again: what has to change is the
            commit or the Sync. Otherwise trying again later may help.
    """

    def __init__(self, path: str, problem: str, *, permanent: bool) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem
        self.permanent = permanent


class CommandError(TargetError):
    """The target matches, and the command that belongs to the change did not end well: it is still owed."""

    def __init__(self, problem: str) -> None:
        super().__init__("", problem, permanent=False)


class Target(Protocol):
    """One target of one Sync, owned by one agent from its first `apply` until `close`."""

    async def apply(
        self, commit: CommitId, tree: str, reader: TreeReader, *, aside: Callable[[], None] = lambda: None
    ) -> Counts:
        """Make it match `tree`; where it does already, nothing is written and all counts as unchanged.

        A command that belongs to a change runs after it, and again with each call until it ended well once; `aside`
        is called before, in the loop: from then on this only waits, be it for the command's turn.
        When cancelled, it is what it was before or what it is to be, and `reader` is no longer used.

        Raises:
            CommandError: it matches, and its command did not end well.
            TargetError: it is what it was before.
        """
        ...

    async def drifted(self, tree: str, *, full: bool) -> str | None:
        """Return in what it differs from `tree`, in a sentence, or None.

        Args:
            tree: what was applied last.
            full: read everything; otherwise what looks untouched is taken as such. A command that is still owed
                is told then too.

        Raises:
            TargetError: it could not be looked at.
        """
        ...

    def changes(self) -> AsyncIterator[Change]:
        """Yield a drift at the start, and what may have changed whenever it did, until cancelled or closed."""
        ...

    def health(self) -> AsyncIterator[Health] | None:
        """Yield how what was applied last is, once it is known, and whenever that changes, until cancelled or closed.

        None where nobody asked for it: else a commit is `applied` only once what it made is healthy.
        """
        ...

    async def close(self) -> None:
        """Let another owner have it. What was applied stays."""
        ...
