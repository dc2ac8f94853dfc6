"""Git by libgit2: a mirror for each remote below one folder (satisfies the port `Git`).

Whatever blocks runs in this module's own threads, at most `workers` at once and one at a time for each mirror. A
caller never waits longer than `timeout_s`, nor does one who was cancelled keep the mirror: the thread is told to
stop, and the mirror is free when it has. By SSH that is at once. By HTTPS libgit2 gives up on a silent connection;
accepted: a server that trickles bytes while it lists its refs can keep a thread, though not a caller, beyond that.

libgit2's settings are those of the process: time-outs, authorities to trust, whose home it is in, and that no
configuration of the machine or its user takes part (only HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment do,
and not for SSH).
"""

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Final, Self, TypeVar

import pygit2
from pygit2.enums import ConfigLevel

from agent.adapters.git.conversation import Account
from agent.adapters.git.limit import Limit
from agent.adapters.git.mirror import Mirror
from agent.adapters.git.trust import HOME
from agent.core.ancestry import Ancestry
from agent.ports.git import GitError, Remote, TransientError, TreeReader
from bellpull.contract.repository import Ref
from bellpull.contract.text import CommitId, TreePath

__all__ = ["Mirrors"]

_T = TypeVar("_T")

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 15.0
_MACHINE: Final = (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL)


class Mirrors:
    """All remotes of one agent. Use it as a context, or call `close`.

    Args:
        folder: where the mirrors are kept; made when needed.
        ca: file of certificates to trust beside the system's.
        timeout_s: for one operation, waiting for its turn included.
        workers: operations at the same time.
    """

    def __init__(self, folder: Path, *, ca: Path | None = None, timeout_s: float = 60.0, workers: int = 4) -> None:
        self._folder = folder
        self._ca = ca
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="git")
        self._mirrors: dict[str, Mirror] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._running: set[Limit] = set()

    async def __aenter__(self) -> Self:
        """Set libgit2 up.

        Raises:
            OSError: the folder cannot be made or `ca` not be read; the message names it.
        """
        await asyncio.get_running_loop().run_in_executor(self._pool, self._set_up)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop what is running, and the threads."""
        await self.close()

    async def close(self) -> None:
        """Stop what is running, and the threads; takes as long as a silent server may be silent."""
        for limit in self._running:
            limit.stop.set()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def fetch(self, remote: Remote, ref: Ref) -> CommitId:
        """Bring the mirror to the ref's tip, one commit deep; return the commit.

        Raises:
            GitError: one of the port's family.
        """
        account = Account.of(remote)
        return await self._run(account, lambda mirror, limit: mirror.fetch(account, ref, limit))

    async def tip(self, remote: Remote, ref: Ref) -> CommitId:
        """Return the ref's tip as the remote lists it.

        Raises:
            GitError: one of the port's family.
        """
        account = Account.of(remote)
        return await self._run(account, lambda mirror, limit: mirror.tip(account, ref, limit))

    async def relation(self, remote: Remote, ref: Ref, tip: CommitId, other: CommitId) -> Ancestry:
        """Return how `tip` stands to `other`; a shallow boundary is UNKNOWN, never a no (R33).

        Raises:
            GitError: deepening failed.
        """
        account = Account.of(remote)
        return await self._run(account, lambda mirror, limit: mirror.relation(account, ref, tip, other, limit))

    async def tree(self, remote: Remote, commit: CommitId, path: TreePath) -> CommitId | None:
        """Return the id of the folder `path` of a fetched commit, None if it has no such folder.

        Raises:
            TreeTooLargeError: a folder on the way is beyond a bound.
            TransientError: the mirror has lost the commit; the next fetch brings it back.
        """
        return await self._run(Account.of(remote), lambda mirror, _: mirror.tree(commit, path))

    def reader(self, remote: Remote, tree: CommitId) -> AbstractContextManager[TreeReader]:
        """Return a reader of a fetched tree; it opens the mirror in the thread that first reads.

        Reading raises TransientError if the mirror has lost something; the next fetch brings it back.
        """
        return self._mirror(Account.of(remote).url).reader(tree)

    def _set_up(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = pygit2.settings
        for level in _MACHINE:
            settings.search_path[level] = str(self._folder / "no-configuration")
        HOME.move_into(self._folder / "home")
        settings.owner_validation = False  # the mirrors are this program's own, whoever it ran as when it made them
        settings.server_connect_timeout = _milliseconds(min(self._timeout_s, _CONNECT_S))
        settings.server_timeout = _milliseconds(min(self._timeout_s, _SILENCE_S))
        if self._ca is not None:
            with self._ca.open("rb"):
                pass  # libgit2's error would not say what is wrong with it
            try:
                settings.set_ssl_cert_locations(str(self._ca), None)
            except pygit2.GitError as error:
                raise OSError(f"{self._ca}: holds no certificates: {error}") from None

    async def _run(self, account: Account, work: Callable[[Mirror, Limit], _T]) -> _T:
        """Do `work` in a thread when it is this mirror's turn."""
        limit = Limit.after(self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._in_turn(account.url, limit, work)
        except TimeoutError:
            problem = f"not done within {self._timeout_s:g} s; it is tried again"
            raise TransientError(account.url, problem) from None

    async def _in_turn(self, url: str, limit: Limit, work: Callable[[Mirror, Limit], _T]) -> _T:
        turn = self._turns.setdefault(url, asyncio.Lock())
        await turn.acquire()
        mirror = self._mirror(url)
        self._running.add(limit)
        try:
            done = asyncio.get_running_loop().run_in_executor(self._pool, _hanging_up, work, mirror, limit)
        except RuntimeError:  # closed
            self._running.discard(limit)
            turn.release()
            raise

        def end(ended: asyncio.Future[_T]) -> None:
            self._running.discard(limit)
            turn.release()
            if not ended.cancelled():
                ended.exception()  # whoever waited may be gone

        done.add_done_callback(end)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            limit.stop.set()
            raise

    def _mirror(self, url: str) -> Mirror:
        if url not in self._mirrors:
            folder = self._folder / sha256(url.encode()).hexdigest()[:40]
            self._mirrors[url] = Mirror(folder, url)
        return self._mirrors[url]


def _hanging_up(work: Callable[[Mirror, Limit], _T], mirror: Mirror, limit: Limit) -> _T:
    """Do `work`; if it fails, close its connection at once.

    libgit2 closes it with the last reference to the remote, and an error's traceback is one, often in a cycle.
    """
    try:
        return work(mirror, limit)
    except GitError as error:
        cause: BaseException | None = error
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__context__
        raise


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
