"""The target `directory`: a symbolic link that the agent owns, and complete releases beside it.

A run writes the whole tree into a new release, syncs it, reads it back, and then switches the link with one
`rename`. Whoever opens the link sees the old tree or the new one, never a part or a mixture, whenever the agent
or the machine ends. An old release stays for those who are still reading it, until its number is up.

What is not a link of ours is refused, or moved aside where the Sync says `adopt`; nothing is deleted that the
agent did not make. Once a release was live, a link at that place that leads elsewhere is drift: it holds no
data, and is switched back. A file or folder may hold somebody's data, and is refused then too.

Drift is judged by content, never by time stamps; those only save reading. Undoing it makes the release anew, so
that no reader sees a half-mended tree. Owner, group and extended attributes are not looked at.

Before a link is switched the disk says that the command (`onChange`) is owed for that tree, and only once it ended
well that it is not: so it runs at least once for each change, a drift undone among them, whenever the agent ends.
While it runs, nothing else is done to this target.

The guard compares with what was made last, not with what drift left there; see `agent.core.guard`.

All file work of one target is done by one thread, in the order it was asked for.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from agent.adapters.command import Command
from agent.adapters.ears import Ears
from agent.adapters.link import Link
from agent.adapters.one_thread import OneThread
from agent.adapters.releases import Home, Releases
from agent.adapters.tree import Stamp
from agent.core.directory import Problem, ReleasePlan, plan_release, printable
from agent.core.guard import Guard
from agent.core.release import Item, Record, ReleaseName, compare, count, expected, releases_to_remove
from agent.core.tree import EntryMode
from agent.ports.git import TreeReader, TreeTooLargeError
from agent.ports.target import Change, TargetError
from bellpull.contract.report import Counts
from bellpull.contract.text import CommitId
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["DirectoryTarget"]

_MAX_PATH: Final = 4095
_MAX_NAMED: Final = 10
_GUARD: Final = Guard()
_DEBOUNCE_S: Final = 0.05
_BLIND_S: Final = 10.0
"""How often to look where the system gives no events."""

_log = logger("agent.directory")


class DirectoryTarget:
    """Keeps the link at `path` on a release of the tree that was applied last.

    Args:
        path: absolute; its parent has to be there.
        keep_releases: how many releases stay, the current one among them.
        adopt: move aside what is at `path` and not ours, to `<path>.adopted-<UTC time>`.
        guard: what a change may delete.
        command: is run after a change.
        now: the clock.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_releases: int = 3,
        adopt: bool = False,
        guard: Guard = _GUARD,
        command: Command | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if not path.is_absolute() or not path.name or ".." in path.parts:
            raise ValueError(f"{path} is no absolute path of something that could be a link")
        self._path = path
        self._keep = keep_releases
        self._guard = guard
        self._command = command
        self._now = now
        self._releases = Releases(path)
        self._link = Link(path, self._releases.path / "releases", adopt=adopt, now=now)
        self._trusted: tuple[ReleaseName | None, Mapping[bytes, Stamp]] = (None, {})
        self._thread = OneThread(f"directory {path.name}")
        self._closed = False

    async def apply(
        self, commit: CommitId, tree: str, reader: TreeReader, *, aside: Callable[[], None] = lambda: None
    ) -> Counts:
        """Make the link lead to a release of `tree`; where it does and the release is intact, write nothing.

        Raises:
            CommandError: the tree is live, and the command did not end well; it is owed.
            TargetError: the tree cannot be a release or the guard refuses it (permanent), something foreign is in
                the way, another process owns the target, or the file system failed. What is live stays live.
        """
        loop = asyncio.get_running_loop()

        def work(go_on: Callable[[], None]) -> Counts:
            return self._apply(commit, tree, reader, go_on, lambda: loop.call_soon_threadsafe(aside))

        return await self._thread.do(work)

    async def drifted(self, tree: str, *, full: bool) -> str | None:
        """Return in what the target differs from `tree`, in a sentence, or None; see `Target`."""
        return await self._thread.do(lambda _: self._drifted(tree, full=full))

    async def changes(self) -> AsyncGenerator[Change]:
        """Yield once at the start and then whenever the link or the live release may have changed.

        Where the system gives no events, yields every ten seconds instead.
        """
        bell = asyncio.Event()
        with Ears(bell, self._path, self._releases.path) as ears:
            while not self._closed:
                deaf = await self._thread.do(lambda _: ears.listen(self._live()))
                if deaf:
                    _log.warning("no file system events", target=str(self._path), reason=deaf, look_every_s=_BLIND_S)
                yield Change.DRIFT
                try:
                    async with asyncio.timeout(_BLIND_S if deaf else None):
                        await bell.wait()
                    await asyncio.sleep(_DEBOUNCE_S)
                except TimeoutError:
                    pass
                bell.clear()

    def health(self) -> None:
        """Return None: files have no health."""
        return

    async def close(self) -> None:
        """Finish what is being done, and let another process own the target."""
        if not self._closed:
            await self._thread.do(lambda _: self._releases.release())
            self._closed = True
            self._thread.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _apply(
        self,
        commit: CommitId,
        tree: str,
        reader: TreeReader,
        go_on: Callable[[], None],
        aside: Callable[[], object],
    ) -> Counts:
        plan = self._plan(reader, go_on)
        record = Record(tree=tree, commit=commit, items=expected(plan))
        with self._releases.owned() as home:
            there = self._link.occupant(home.parent)
            self._link.refuse_foreign(there, home)
            self._tidy(home)
            live = home.record(there.release) if there.release else None
            same = there.release is not None and live is not None and live.tree == tree
            before = live.items if live else {}
            if there.release is not None and live is not None and same:
                before = self._look(home, there.release, live, full=False)
            if not same or compare(record.items, before) is not None:
                self._refuse_loss(home, live, record, commit)
                self._renew(home, plan, record, reader.blob, go_on)
                self._tidy(home)
            self._pay(home, tree, commit, go_on, aside)
        return count(before, record.items)

    def _refuse_loss(self, home: Home, live: Record | None, record: Record, commit: CommitId) -> None:
        """Ask the guard, unless this tree was made last: then it has answered before."""
        newest = max(home.names(), default=None)
        made = home.record(newest) if newest else None
        if made is not None and made.tree == record.tree:
            return
        for before in (live, made):
            problem = self._guard.refusal(before.items, record.items, commit) if before else None
            if problem:
                raise TargetError("", problem, permanent=True)

    def _pay(
        self, home: Home, tree: str, commit: CommitId, go_on: Callable[[], None], aside: Callable[[], object]
    ) -> None:
        """Run the command if it is owed for what is live."""
        owed = home.debt.trees()
        if self._command is not None and tree in owed:
            aside()
            self._command.run(self._path, commit, go_on)
        if owed:
            home.debt.settle()

    def _renew(
        self,
        home: Home,
        plan: ReleasePlan,
        record: Record,
        blob: Callable[[str], bytes],
        go_on: Callable[[], None],
    ) -> None:
        live = self._link.occupant(home.parent).release
        name, stamps = home.make(plan, record, live=live, blob=blob, go_on=go_on, now=self._now)
        try:
            go_on()
            if self._command is not None:
                home.debt.owe(record.tree)
            self._link.switch(home, name)
        finally:
            if self._link.occupant(home.parent).release != name:
                home.remove(name)
        self._trusted = (name, stamps)

    def _plan(self, reader: TreeReader, go_on: Callable[[], None]) -> ReleasePlan:
        try:
            links = [entry for entry in reader.entries if entry.mode is EntryMode.LINK]
        except TreeTooLargeError as error:
            raise TargetError("", str(error), permanent=True) from None
        targets = {}
        for entry in links:
            go_on()
            targets[entry.path] = reader.blob(entry.oid)
        room = _MAX_PATH - len(os.fsencode(self._releases.path)) - len("/releases//") - 32
        plan = plan_release(reader.entries, targets, room=room)
        if isinstance(plan, ReleasePlan):
            return plan
        raise TargetError(printable(plan[0].path), _rest(plan), permanent=True)

    def _look(self, home: Home, name: ReleaseName, record: Record, *, full: bool) -> Mapping[bytes, Item]:
        of, stamps = self._trusted
        seen = home.look(name, record, stamps if of == name and not full else {}, self._now())
        self._trusted = (name, seen.stamps)
        return seen.items

    def _tidy(self, home: Home) -> None:
        home.tidy()
        current = self._link.occupant(home.parent).release
        for name in releases_to_remove(home.names(), current, self._keep):
            home.remove(name)

    def _drifted(self, tree: str, *, full: bool) -> str | None:
        with self._releases.seen() as home:
            if home is None:
                return f"{self._releases.path} with all releases is not there"
            there = self._link.occupant(home.parent)
            if there.release is None:
                return f"{self._path} is {there.words or 'gone'}"
            record = home.record(there.release)
            if record is None or record.tree != tree:
                return f"{self._path} is {there.words}, which is no release of this tree"
            drift = compare(record.items, self._look(home, there.release, record, full=full))
            if drift is None and full and self._command is not None and tree in home.debt.trees():
                return f"release {there.release}: its command did not end well yet"
            return f"release {there.release}: {drift}" if drift else None

    def _live(self) -> Path | None:
        """Return the folder of the live release."""
        with ExitStack() as stack:
            try:
                parent = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                return None
            stack.callback(os.close, parent)
            name = self._link.occupant(parent).release
            return self._releases.path / "releases" / str(name) if name else None


def _rest(problems: tuple[Problem, ...]) -> str:
    """Return the first problem without its path, then up to nine more with theirs, and count the rest."""
    more = [str(problem) for problem in problems[1:_MAX_NAMED]]
    left = [f"and {len(problems) - _MAX_NAMED} more"] if len(problems) > _MAX_NAMED else []
    return "; ".join([problems[0].problem, *more, *left])
