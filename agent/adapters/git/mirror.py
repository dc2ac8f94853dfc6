"""The mirror of one remote: a bare repository with what was fetched, which may be thrown away at any time. Blocks.

It lies in numbered folders, of which the highest counts. A mirror that is found broken, or has grown `_MAX_PACKS`
packs (one comes with every fetch), is made anew under the next number; a reader of the old one goes on undisturbed,
and the folder is removed by a later fetch. One operation at a time, for which the caller sees; readers do not count.

Branches and tags are kept under names that are hashes, so that a branch `a/b` may follow a branch `a`.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

import pygit2

from agent.adapters.git.conversation import Account, Conversation, conversation
from agent.adapters.git.history import search
from agent.adapters.git.limit import Limit, StoppedError
from agent.adapters.git.problems import CorruptError
from agent.adapters.git.reader import READ_ERRORS, Reader, opened, tree_at
from agent.core.ancestry import Ancestry
from agent.ports.git import RefGoneError, TransientError
from bellpull.contract.repository import Ref
from bellpull.contract.text import CommitId, TreePath, text

__all__ = ["Mirror"]

_T = TypeVar("_T")

_DEEPEN: Final = (50, 1000)
_MAX_PACKS: Final = 200
_LOST: Final = "the mirror of it is broken and is made anew by the next fetch"


class Mirror:
    """What is known of one remote.

    Args:
        folder: its own; made when needed.
        url: of the remote, without user.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._broken = threading.Event()
        self._readers: Counter[Path] = Counter()
        self._counting = threading.Lock()
        self._path: Path | None = None

    def fetch(self, account: Account, ref: Ref, limit: Limit) -> CommitId:
        """Bring the mirror to the tip of `ref`, one commit deep; nothing is fetched if it is there already."""
        self._sweep()
        return self._mended(lambda repository: _fetch(repository, account, ref, limit))

    def tip(self, account: Account, ref: Ref, limit: Limit) -> CommitId:
        """Return the tip of `ref` as the remote lists it."""

        def ask(repository: pygit2.Repository) -> CommitId:
            with conversation(repository, account, limit) as talk:
                return _listed(talk, ref)

        return self._mended(ask)

    def relation(self, account: Account, ref: Ref, tip: CommitId, other: CommitId, limit: Limit) -> Ancestry:
        """Return how `tip` stands to `other`: from what is there, else deepening step by step (R33)."""
        return self._mended(lambda repository: _relation(repository, account, ref, (tip, other), limit))

    def tree(self, commit: CommitId, path: TreePath) -> CommitId | None:
        """Return the id of the folder `path` of a fetched commit."""
        try:
            found = tree_at(opened(self._current()), commit, path)
        except READ_ERRORS as error:
            raise self._lost(str(error)) from None
        return None if found is None else text(CommitId, found)

    @contextmanager
    def reader(self, tree: CommitId) -> Iterator[Reader]:
        """Keep the mirror's folder while it is read from."""
        with self._counting:
            path = self._current()
            self._readers[path] += 1
        try:
            yield Reader(path, tree, self._lost)
        finally:
            with self._counting:
                self._readers[path] -= 1

    def _mended(self, work: Callable[[pygit2.Repository], _T]) -> _T:
        """Work in the mirror; if it turns out to be broken, once more in a new one."""
        try:
            return work(self._open())
        except CorruptError:
            self._broken.set()
        try:
            return work(self._open())
        except CorruptError as error:
            self._broken.set()
            raise TransientError(self._url, f"what the server sent does not fit together: {error}") from None

    def _open(self) -> pygit2.Repository:
        if self._broken.is_set() or _packs(self._current()) > _MAX_PACKS:
            return self._make()
        try:
            return opened(self._current())
        except READ_ERRORS:
            return self._make()

    def _make(self) -> pygit2.Repository:
        """Make an empty mirror, which is the current one from now on."""
        number = int(self._current().name) + 1
        path = self._folder / f"{number:06d}"
        try:
            repository = pygit2.init_repository(str(path), bare=True)
            repository.config["http.followRedirects"] = "false"  # to other hosts; on the same host libgit2 does
        except (pygit2.GitError, OSError) as error:
            raise TransientError(self._url, f"no mirror can be made in {self._folder}: {error}") from None
        self._path = path
        self._broken.clear()
        return repository

    def _current(self) -> Path:
        if self._path is None:  # looked for once: a reader may be asked for on the event loop
            self._path = max(self._numbered(), default=self._folder / "000000")
        return self._path

    def _numbered(self) -> list[Path]:
        return [path for path in self._folder.glob("*") if path.name.isdecimal()]

    def _sweep(self) -> None:
        """Remove what came before the current mirror and is not read any more."""
        with self._counting:
            over = [path for path in self._numbered() if path != self._current() and not self._readers[path]]
        for path in over:
            shutil.rmtree(path, ignore_errors=True)

    def _lost(self, problem: str) -> TransientError:
        self._broken.set()
        return TransientError(self._url, f"{_LOST} ({problem})")


def _packs(path: Path) -> int:
    return sum(1 for _ in (path / "objects" / "pack").glob("*.pack"))


def _kept_as(ref: Ref) -> str:
    return f"refs/bellpull/{sha256(ref.full.encode()).hexdigest()[:40]}"


def _listed(talk: Conversation, ref: Ref) -> CommitId:
    oid = talk.refs.get(f"{ref.full}^{{}}") or talk.refs.get(ref.full)
    if oid is None:
        raise RefGoneError(talk.account.url, f"there is no {ref.kind} {ref.name}")
    return text(CommitId, oid)


def _fetch(repository: pygit2.Repository, account: Account, ref: Ref, limit: Limit) -> CommitId:
    with conversation(repository, account, limit) as talk:
        tip = _listed(talk, ref)
        if _holds(repository, tip):
            repository.references.create(_kept_as(ref), tip, force=True)
            return tip
        return _fetch_deep(repository, talk, ref, 1)


def _fetch_deep(repository: pygit2.Repository, talk: Conversation, ref: Ref, depth: int) -> CommitId:
    """Fetch and return the commit: not always the one that was listed, a push may have come in between."""
    talk.fetch(f"+{ref.full}:{_kept_as(ref)}", depth)
    try:
        tip = repository.references[_kept_as(ref)].peel(pygit2.Commit)
    except (pygit2.InvalidSpecError, pygit2.GitError):
        raise RefGoneError(talk.account.url, f"the {ref.kind} {ref.name} is not at a commit") from None
    except KeyError as error:
        raise CorruptError(str(error)) from None
    return text(CommitId, str(tip.id))


def _holds(repository: pygit2.Repository, commit: str) -> bool:
    try:
        found = repository[commit]
        return isinstance(found, pygit2.Commit) and found.tree_id in repository
    except KeyError:
        return False
    except pygit2.GitError as error:
        raise CorruptError(str(error)) from None


def _relation(
    repository: pygit2.Repository, account: Account, ref: Ref, pair: tuple[CommitId, CommitId], limit: Limit
) -> Ancestry:
    with suppress(StoppedError):  # looking took too long: not known, which is never a no
        found = search(repository, *pair, limit)
        for depth in _DEEPEN:
            if found.ancestry is not Ancestry.UNKNOWN:
                break
            if found.depth < depth:
                with conversation(repository, account, limit) as talk:
                    _listed(talk, ref)
                    _fetch_deep(repository, talk, ref, depth)
                found = search(repository, *pair, limit)
        return found.ancestry
    return Ancestry.UNKNOWN
