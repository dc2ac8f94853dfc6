"""One conversation with a Git server, and its errors in the port's words. Blocks; libgit2 underneath.

Credentials are given only to the scheme, host and port that is configured, and once: a server that refuses them is
not asked again. User and password in a URL are taken out of it first, so nothing that libgit2 prints has them.
Redirects to another host are refused (the mirror's configuration says so; see `mirror`).
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import pygit2
from pygit2.enums import CredentialType
from pygit2.remotes import TransferProgress

from agent.ports.git import AccessDeniedError, GitError, Remote, RepositoryGoneError, TransientError

__all__ = ["Account", "Conversation", "CorruptError", "Limit", "StoppedError", "conversation"]

_STATUS: Final = re.compile(r"unexpected http status code: (\d{3})")
_USER_IN_URL: Final = re.compile(r"//[^/@\s]*@")
_MAX_PROBLEM: Final = 300
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}
_OF_THE_REMOTE: Final = frozenset({0, 2, 12, 16, 26, 34})
"""libgit2's error classes NONE, OS, NET, SSL, CALLBACK and HTTP: the others speak of what is in the mirror."""


class CorruptError(Exception):
    """What is in the mirror cannot be read, or does not fit what the server sends."""


class StoppedError(Exception):
    """The time was up, or nobody waits any more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """Until when an operation may go on (monotonic clock, seconds), unless it is stopped before."""

    seconds: float
    ends: float
    stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the limit that is `seconds` from now."""
        return cls(seconds=seconds, ends=monotonic() + seconds)

    def check(self) -> None:
        """Go on, or not.

        Raises:
            StoppedError: not.
        """
        if self.stop.is_set() or monotonic() > self.ends:
            raise StoppedError


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
        with _translated(self.account, self.limit):
            self.remote.fetch([refspec], callbacks=_Callbacks(self.account, self.limit), depth=depth, proxy=True)


@contextmanager
def conversation(repository: pygit2.Repository, account: Account, limit: Limit) -> Iterator[Conversation]:
    """Connect, and yield what the server lists.

    Raises:
        GitError: the server, or the way to it.
        CorruptError: the mirror.
    """
    with _translated(account, limit):
        limit.check()
        remote = repository.remotes.create_anonymous(account.url)
        remote.connect(callbacks=_Callbacks(account, limit), proxy=True)
        refs = {head.name: str(head.oid) for head in remote.list_heads(connect=False) if head.name is not None}
    yield Conversation(account=account, limit=limit, remote=remote, refs=refs)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


@contextmanager
def _translated(account: Account, limit: Limit) -> Iterator[None]:
    try:
        yield
    except StoppedError:
        raise TransientError(account.url, f"not done within {limit.seconds:g} s; it is tried again") from None
    except pygit2.AuthError:
        raise AccessDeniedError(account.url, "the server refused: mend the credentials of the secretRef") from None
    except pygit2.CertificateError:
        problem = "its certificate is not trusted: add the authority's to the agent's git.ca"
        raise TransientError(account.url, problem) from None
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise _explained(account.url, error) from None


def _explained(url: str, error: Exception) -> GitError | CorruptError:
    message = str(error)
    if "remote object format" in message:
        return GitError(url, f"{_printable(message)}: only repositories with SHA-1 ids can be fetched")
    if isinstance(error, KeyError) or getattr(error, "error_class", 0) not in _OF_THE_REMOTE:
        return CorruptError(_printable(message))  # a KeyError: an object that the mirror should have
    status = _STATUS.search(message)
    if status is None:
        return TransientError(url, _problem(message))
    return _refused(url, int(status[1]))


def _refused(url: str, status: int) -> GitError:
    match status:
        case 404 | 410:
            return RepositoryGoneError(
                url, "there is no such repository, or not for this user: mend URL or secretRef"
            )
        case 401 | 403:
            return AccessDeniedError(url, f"the server answered {status}: mend the credentials of the secretRef")
        case _:
            return TransientError(url, f"the server answered {status}; it is tried again")


def _problem(message: str) -> str:
    if "redirect" in message:
        return f"{_printable(message)}: set the URL to where it leads"
    if "timed out" in message:
        return "the server went silent; it is tried again"
    return f"{_printable(message)}; it is tried again"


def _printable(message: str) -> str:
    """Return a message without users of URLs and control characters; some of it was written by the server."""
    shown = "".join(each if each.isprintable() else " " for each in _USER_IN_URL.sub("//", message))
    return shown.strip()[:_MAX_PROBLEM]
