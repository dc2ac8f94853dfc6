"""One conversation with a Git server. Blocks; libgit2 underneath.

By HTTPS, credentials are given only to the scheme, host and port that is configured; a server that refuses them is
not asked again. User and password in a URL are taken out of it first, so nothing that libgit2 prints has them. A
redirect to another host, or away from TLS, is refused (see `mirror`). For SSH see `ssh`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import pygit2
from pygit2.enums import CredentialType
from pygit2.remotes import TransferProgress

from agent.adapters.git.limit import Limit
from agent.adapters.git.problems import translated
from agent.adapters.git.ssh import by_ssh
from agent.ports.git import AccessDeniedError, Remote, SshAccess

__all__ = ["Account", "Conversation", "conversation"]

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A remote, and the credentials for it; but for SSH, where it belongs there, its URL has no user in it."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssh: SshAccess | None = None

    @classmethod
    def of(cls, remote: Remote) -> Self:
        """Take user and password out of the URL; those given beside it win."""
        if remote.ssh is not None:
            return cls(url=remote.url, ssh=remote.ssh)
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


class Way(Protocol):
    """How a server is reached: what libgit2 has to dial, whom it may trust there, and as whom it comes."""

    @property
    def url(self) -> str:
        """What libgit2 dials."""
        ...

    def trusts(self, *, valid: bool) -> bool:
        """Return whether to go on with a server of which libgit2 says that it is `valid`."""
        ...

    def credential(self, url: str, allowed: CredentialType) -> pygit2.UserPass | pygit2.Keypair:
        """Return what to show to the server, which is at `url` by now."""
        ...


class _WebWay:
    """By HTTPS or HTTP."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._asked = False

    @property
    def url(self) -> str:
        return self._account.url

    def trusts(self, *, valid: bool) -> bool:
        return valid

    def credential(self, url: str, allowed: CredentialType) -> pygit2.UserPass:
        account = self._account
        if not account.is_known:
            raise AccessDeniedError(account.url, "the server wants credentials: name a secretRef with them")
        if _origin(urlsplit(url)) != _origin(urlsplit(account.url)):
            raise AccessDeniedError(
                account.url, "credentials are wanted somewhere else than the URL says: mend the URL"
            )
        if self._asked or not allowed & CredentialType.USERPASS_PLAINTEXT:
            raise AccessDeniedError(account.url, "the server refused the username or password of the secretRef")
        self._asked = True
        return pygit2.UserPass(account.username or "", account.password or "")


class _Callbacks(pygit2.RemoteCallbacks):
    """What libgit2 asks on the way."""

    def __init__(self, way: Way, limit: Limit) -> None:
        super().__init__()
        self._way = way
        self._limit = limit

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: FBT001 - pygit2's
        del certificate, host
        return self._way.trusts(valid=valid)

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.UserPass | pygit2.Keypair:
        del username_from_url
        return self._way.credential(url, allowed_types)

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
    way: Way
    remote: pygit2.Remote
    refs: Mapping[str, str]

    def fetch(self, refspec: str, depth: int) -> None:
        """Fetch one refspec, `depth` commits deep."""
        with translated(self.account.url, self.limit):
            self.remote.fetch([refspec], callbacks=_Callbacks(self.way, self.limit), depth=depth, proxy=True)


@contextmanager
def conversation(repository: pygit2.Repository, account: Account, limit: Limit) -> Iterator[Conversation]:
    """Connect, and yield what the server lists.

    Raises:
        GitError: the server, or the way to it.
        CorruptError: the mirror.
    """
    with ExitStack() as stack:
        with translated(account.url, limit):
            limit.check()
            way, remote = _connected(repository, account, limit, stack)
            refs = {head.name: str(head.oid) for head in remote.list_heads(connect=False) if head.name is not None}
        yield Conversation(account=account, limit=limit, way=way, remote=remote, refs=refs)


def _connected(
    repository: pygit2.Repository, account: Account, limit: Limit, stack: ExitStack
) -> tuple[Way, pygit2.Remote]:
    if account.ssh is None:
        web = _WebWay(account)
        return web, _dial(repository, web, limit)
    way = stack.enter_context(by_ssh(account.url, account.ssh, limit, account.ssh.pins.keys))
    try:
        return way, _dial(repository, way, limit)
    except pygit2.GitError:
        if not way.shows_other_types:
            raise
    with by_ssh(account.url, account.ssh, limit, ()) as way:  # once more, to see and say which key it has
        _dial(repository, way, limit)
    raise AssertionError("a server was trusted that nothing is known of")


def _dial(repository: pygit2.Repository, way: Way, limit: Limit) -> pygit2.Remote:
    remote = repository.remotes.create_anonymous(way.url)
    remote.connect(callbacks=_Callbacks(way, limit), proxy=True)
    return remote


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
