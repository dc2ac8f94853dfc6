"""One conversation with a Git server. Blocks; libgit2 underneath.

Credentials are given only to the scheme, host and port that is configured, and once: a server that refuses them is
not asked again. User and password in a URL are taken out of it first, so nothing that libgit2 prints has them.
Redirects to another host are refused (the mirror's configuration says so; see `mirror`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import pygit2
from pygit2.enums import CredentialType
from pygit2.remotes import TransferProgress

from agent.adapters.git.limit import Limit
from agent.adapters.git.problems import translated
from agent.ports.git import AccessDeniedError, Remote

__all__ = ["Account", "Conversation", "conversation"]

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A remote whose URL has no user in it, and the credentials for it."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, remote: Remote) -> Self:
        """Take user and password out of the URL; those given beside it win."""
        parts = urlsplit(remote.url)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if remote.username is not None:
            username = remote.username
        if remote.password is not None:
            password = remote.password.reveal().decode("utf-8", "surrogateescape")
        return cls(url=url, username=username or None, password=password or None)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to show to the server."""
        return self.username is not None or self.password is not None


class _Callbacks(pygit2.RemoteCallbacks):
    """What libgit2 asks on the way."""

    def __init__(self, account: Account, limit: Limit) -> None:
        super().__init__()
        self._account = account
        self._limit = limit
        self._asked = False

    def credentials(self, url: str, username_from_url: str | None, allowed_types: CredentialType) -> pygit2.UserPass:
        del username_from_url
        account = self._account
        if not account.is_known:
            raise AccessDeniedError(account.url, "the server wants credentials: name a secretRef with them")
        if self._asked or not allowed_types & CredentialType.USERPASS_PLAINTEXT:
            raise AccessDeniedError(account.url, "the server refused the username or password of the secretRef")
        if _origin(urlsplit(url)) != _origin(urlsplit(account.url)):
            raise AccessDeniedError(
                account.url, "credentials are wanted somewhere else than the URL says: mend the URL"
            )
        self._asked = True
        return pygit2.UserPass(account.username or "", account.password or "")

    def transfer_progress(self, stats: TransferProgress) -> None:
        del stats
        self._limit.check()

    def sideband_progress(self, string: str) -> None:
        del string
        self._limit.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A connection to a server that has listed its refs.

    Attributes:
        refs: object ids by full name; what an annotated tag points to is under `NAME^{}`.
    """

    account: Account
    limit: Limit
    remote: pygit2.Remote
    refs: Mapping[str, str]

    def fetch(self, refspec: str, depth: int) -> None:
        """Fetch one refspec, `depth` commits deep."""
        with translated(self.account.url, self.limit):
            self.remote.fetch([refspec], callbacks=_Callbacks(self.account, self.limit), depth=depth, proxy=True)


@contextmanager
def conversation(repository: pygit2.Repository, account: Account, limit: Limit) -> Iterator[Conversation]:
    """Connect, and yield what the server lists.

    Raises:
        GitError: the server, or the way to it.
        CorruptError: the mirror.
    """
    with translated(account.url, limit):
        limit.check()
        remote = repository.remotes.create_anonymous(account.url)
        remote.connect(callbacks=_Callbacks(account, limit), proxy=True)
        refs = {head.name: str(head.oid) for head in remote.list_heads(connect=False) if head.name is not None}
    yield Conversation(account=account, limit=limit, remote=remote, refs=refs)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
