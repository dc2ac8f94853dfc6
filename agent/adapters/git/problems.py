"""What goes wrong with a server or a mirror, in the port's words: what happened, and what to do.

What libgit2 says may repeat what a server wrote, and URLs: it is printed without control characters and users.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pygit2

from agent.adapters.git.limit import Limit, StoppedError
from agent.ports.git import AccessDeniedError, GitError, RepositoryGoneError, TransientError

__all__ = ["CorruptError", "translated", "unreachable"]

_STATUS: Final = re.compile(r"unexpected http status code: (\d{3})")
_USER_IN_URL: Final = re.compile(r"//[^/@\s]*@")
_SILENT: Final = re.compile(r"(?i)timed out|timeout expired")
_KEY_UNREAD: Final = re.compile(r"(?i)private key|passphrase")
_GONE: Final = re.compile(r"(?i)not found|not be found|not appear to be|not exist|no such|cannot find")
_DENIED: Final = re.compile(r"(?i)denied|not allowed|unauthori[sz]ed|forbidden")
_MAX_PROBLEM: Final = 300
_SSH: Final = 23
_OF_THE_REMOTE: Final = frozenset({0, 2, 12, 16, _SSH, 26, 34})
"""libgit2's error classes NONE, OS, NET, SSL, SSH, CALLBACK and HTTP: the others speak of what is in the mirror."""


class CorruptError(Exception):
    """What is in the mirror cannot be read, or does not fit what the server sends."""


@contextmanager
def translated(url: str, limit: Limit) -> Iterator[None]:
    """Do what is in the context; what libgit2 raises of the remote at `url` becomes an error of the port.

    Raises:
        GitError: the server, or the way to it.
        CorruptError: the mirror.
    """
    try:
        yield
    except StoppedError:
        raise _late(url, limit) from None
    except pygit2.AuthError as error:
        if str(error).startswith("proxy "):
            raise AccessDeniedError(url, "the proxy wants another user or password: mend HTTPS_PROXY") from None
        raise AccessDeniedError(url, "the server refused: mend the credentials of the secretRef") from None
    except pygit2.CertificateError:
        problem = "its certificate is not trusted: add the authority's to the agent's git.ca"
        raise TransientError(url, problem) from None
    except (pygit2.GitError, KeyError, ValueError) as error:
        if limit.is_over:  # which may be why
            raise _late(url, limit) from None
        raise _explained(url, error) from None


def unreachable(url: str, error: OSError) -> TransientError:
    """Return that the server at `url` cannot be dialled."""
    why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return TransientError(url, f"the server cannot be reached: {_printable(why)}; it is tried again")


def _late(url: str, limit: Limit) -> TransientError:
    return TransientError(url, f"not done within {limit.seconds:g} s; it is tried again")


def _explained(url: str, error: Exception) -> GitError | CorruptError:
    message = str(error)
    if "remote object format" in message:
        return GitError(url, f"{_printable(message)}: only repositories with SHA-1 ids can be fetched")
    if isinstance(error, KeyError) or getattr(error, "error_class", 0) not in _OF_THE_REMOTE:
        return CorruptError(_printable(message))  # a KeyError: an object that the mirror should have
    if getattr(error, "error_class", 0) == _SSH:
        return _said_by_ssh(url, message)
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


def _said_by_ssh(url: str, message: str) -> GitError:
    """Return what the SSH library met, or the server's own words: SSH has no status of its own for them."""
    if _KEY_UNREAD.search(message):
        problem = "the key `identity` of the secretRef cannot be read: it is an Ed25519, ECDSA or RSA key as OpenSSH"
        return AccessDeniedError(url, f"{problem} or PEM have it, and the file `password` holds its passphrase")
    if _GONE.search(message):
        problem = "there is no such repository, or not for this key: mend URL or secretRef"
        return RepositoryGoneError(url, f"{problem} (the server said: {_printable(message)})")
    if _DENIED.search(message):
        return AccessDeniedError(url, f"the server said: {_printable(message)}: mend the key of the secretRef")
    return TransientError(url, _problem(message))


def _problem(message: str) -> str:
    if "redirect" in message:
        return f"{_printable(message)}: set the URL to where it leads"
    if _SILENT.search(message):
        return "the server went silent; it is tried again"
    return f"{_printable(message)}; it is tried again"


def _printable(message: str) -> str:
    """Return a message without users of URLs and control characters; some of it was written by the server."""
    shown = "".join(each if each.isprintable() else " " for each in _USER_IN_URL.sub("//", message))
    return shown.strip()[:_MAX_PROBLEM]
