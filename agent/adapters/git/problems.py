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

__all__ = ["CorruptError", "translated"]

_STATUS: Final = re.compile(r"unexpected http status code: (\d{3})")
_USER_IN_URL: Final = re.compile(r"//[^/@\s]*@")
_MAX_PROBLEM: Final = 300
_OF_THE_REMOTE: Final = frozenset({0, 2, 12, 16, 26, 34})
"""libgit2's error classes NONE, OS, NET, SSL, CALLBACK and HTTP: the others speak of what is in the mirror."""


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
        raise TransientError(url, f"not done within {limit.seconds:g} s; it is tried again") from None
    except pygit2.AuthError:
        raise AccessDeniedError(url, "the server refused: mend the credentials of the secretRef") from None
    except pygit2.CertificateError:
        problem = "its certificate is not trusted: add the authority's to the agent's git.ca"
        raise TransientError(url, problem) from None
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise _explained(url, error) from None


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
