"""Git, as the agent needs it: one ref of one remote, fetched shallowly into a mirror of the agent's own.

The URL is that of the agent's configuration (P4). Everything here happens off the event loop and has a deadline.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from agent.core.ancestry import Ancestry
from agent.core.bounds import TreeTooLargeError
from agent.core.known_hosts import Pins
from agent.core.ssh_address import SshAddress
from agent.core.tree import EntryMode, TreeEntry
from bellpull.contract.repository import Ref
from bellpull.contract.text import CommitId, TreePath
from bellpull.runtime.secret import Secret

__all__ = [
    "AccessDeniedError",
    "EntryMode",
    "Git",
    "GitError",
    "HostKeyError",
    "RefGoneError",
    "Remote",
    "RepositoryGoneError",
    "SshAccess",
    "TransientError",
    "TreeEntry",
    "TreeReader",
    "TreeTooLargeError",
    "shown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAccess:
    """How to get into a server by SSH, and by what to know it.

    Attributes:
        address: where it is.
        identity: a private key, as OpenSSH or PEM have it: Ed25519, ECDSA or RSA.
        passphrase: of that key.
        pins: the keys the server may have.
    """

    address: SshAddress
    identity: Secret
    passphrase: Secret | None = None
    pins: Pins


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where to fetch from, and as whom: by user and password with HTTPS, or with what SSH needs."""

    url: str
    username: str | None = None
    password: Secret | None = None
    ssh: SshAccess | None = None


def shown(url: str) -> str:
    """Return `url` as it may be printed: without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class GitError(Exception):
    """A remote could not be read; the message names its URL, the reason, and what to do."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{shown(url)}: {problem}")
        self.problem = problem


class RefGoneError(GitError):
    """The repository is there and has no such branch or tag."""


class RepositoryGoneError(GitError):
    """The server knows no such repository, or not for this user."""


class AccessDeniedError(GitError):
    """The server wants other credentials."""


class HostKeyError(GitError):
    """The server does not show a host key that is pinned: it may be another one. No credential was sent."""


class TransientError(GitError):
    """A time-out, the network, a server in trouble: the next try may succeed."""


class TreeReader(Protocol):
    """A folder of a commit. Blocks: for use in a worker thread."""

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        """Everything below the folder; folders are implied by the paths.

        Raises:
            TreeTooLargeError: it is beyond a bound (`agent.core.bounds`); nothing of it was read.
            GitError: it cannot be read.
        """
        ...

    def blob(self, oid: str) -> bytes:
        """Return the bytes of the blob `oid` of one of the entries."""
        ...


class Git(Protocol):
    """All remotes of one agent."""

    async def fetch(self, remote: Remote, ref: Ref) -> CommitId:
        """Bring the mirror to the ref's tip, shallow and incremental; return the commit (tags are peeled).

        Raises:
            GitError: one of the family above.
        """
        ...

    async def tip(self, remote: Remote, ref: Ref) -> CommitId:
        """Return the ref's tip as the remote lists it, without fetching objects.

        Raises:
            GitError: one of the family above.
        """
        ...

    async def relation(self, remote: Remote, ref: Ref, tip: CommitId, other: CommitId) -> Ancestry:
        """Return how `tip`, fetched before, stands to `other`, deepening the mirror as far as needed (R33).

        Raises:
            GitError: deepening failed.
        """
        ...

    async def tree(self, remote: Remote, commit: CommitId, path: TreePath) -> CommitId | None:
        """Return the tree id of the folder `path` in a fetched commit, None if it has no such folder.

        Raises:
            TreeTooLargeError: a folder on the way is beyond a bound.
            TransientError: the mirror has lost it.
        """
        ...

    def reader(self, remote: Remote, tree: CommitId) -> AbstractContextManager[TreeReader]:
        """Return a reader of a fetched tree; enter it in the thread that uses it, or any before."""
        ...
