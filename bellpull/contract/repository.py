"""Which repository, and which ref of it.

A push names a repository by what the provider calls it, a Sync by the URL its agent fetches from. The two meet
in `Repository.key`, which forgets scheme, user, port, `.git`, slashes at the ends and case: a needless hint
costs a fetch, a missed one a commit (R25).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self
from urllib.parse import unquote

from bellpull.contract.errors import ContractError
from bellpull.contract.text import CommitId, Host, RefName, RepositoryPath, text

__all__ = ["ZERO", "Ref", "RefKind", "Repository", "commit_or_none"]

ZERO: Final = re.compile(r"0{40}|0{64}")
"""What providers send for "there is no commit", for SHA-1 and SHA-256 repositories."""

_URL: Final = re.compile(
    r"(?P<scheme>(?i:https?|ssh|git)://)(?:(?P<user>[^/@:]*)(?P<password>:[^/@]*)?@)?"
    r"(?P<rest>(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]]+)(?::[0-9]{0,5})?/(?P<path>.+))"
)
_SCP: Final = re.compile(r"(?:[^/@:]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]]+):(?P<path>(?!//|:).+)")
"""As Git reads it; what has `://` is a URL, and what has `::` a helper to run, such as `ext::sh -c ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository: where it is, and the URLs a provider offers to clone it from."""

    host: Host
    path: RepositoryPath
    clone_urls: tuple[str, ...] = ()

    @classmethod
    @lru_cache(maxsize=1024)
    def from_url(cls, url: str) -> Self:
        """Read a clone URL: `https://`, `http://`, `ssh://`, `git://` or `user@host:path`.

        No password comes along into `clone_urls`, and no user either but that of SSH: it may be a token.

        Raises:
            ContractError: it is none of these.
        """
        match = None if "?" in url or "#" in url else _URL.fullmatch(url) or _SCP.fullmatch(url)
        if match is None:
            raise ContractError("", "is not a clone URL (https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH)")
        is_url = match.re is _URL
        return cls(
            host=text(Host, match["host"].strip("[]").lower().rstrip(".")),
            path=text(RepositoryPath, _plain_path(unquote(match["path"]) if is_url else match["path"])),
            clone_urls=(_without_secret(match) if is_url else url,),
        )

    @property
    def key(self) -> str:
        """What two names of one repository have in common: `host/path`, case folded."""
        return f"{self.host}/{self.path}".casefold()


def _plain_path(path: str) -> str:
    """Drop what servers take or leave: `.git` at the end, and slashes at the ends and beyond the first."""
    path = re.sub("//+", "/", path).strip("/")
    while path.lower().endswith(".git"):
        path = path[: -len(".git")].rstrip("/")
    return path


def _without_secret(url: re.Match[str]) -> str:
    user = f"{url['user']}@" if url["user"] and url["scheme"].lower() == "ssh://" else ""
    return url["scheme"] + user + url["rest"]


class RefKind(StrEnum):
    """What a ref is."""

    BRANCH = "branch"
    TAG = "tag"


_PREFIXES: Final = {"refs/heads/": RefKind.BRANCH, "refs/tags/": RefKind.TAG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A branch or a tag."""

    kind: RefKind
    name: RefName

    @classmethod
    def parse(cls, full: str, path: str = "") -> Self:
        """Read a full name such as `refs/heads/main`.

        Raises:
            ContractError: it is no branch or tag, or no name that Git admits.
        """
        for prefix, kind in _PREFIXES.items():
            if full.startswith(prefix):
                return cls(kind=kind, name=text(RefName, full.removeprefix(prefix), path))
        raise ContractError(path, "is neither a branch nor a tag")

    @property
    def full(self) -> str:
        """The full name, such as `refs/heads/main`."""
        return ("refs/heads/" if self.kind is RefKind.BRANCH else "refs/tags/") + self.name


def commit_or_none(value: object, path: str = "") -> CommitId | None:
    """Read a commit id in which all zeros mean that there is none.

    Raises:
        ContractError: it is neither.
    """
    if isinstance(value, str) and ZERO.fullmatch(value):
        return None
    return text(CommitId, value, path)
