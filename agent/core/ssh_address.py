"""Where a repository is that is fetched by SSH, as Git writes it: `ssh://USER@HOST[:PORT]/PATH` or `USER@HOST:PATH`.

The path goes to the server's shell in single quotes (`git-upload-pack 'PATH'`), as Git itself sends it; what would
end the quotes is refused.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

__all__ = ["SshAddress", "ssh_address"]

_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]]+)"
_URL: Final = re.compile(
    rf"(?i:ssh)://(?:(?P<user>[^/@:]*)(?P<password>:[^/@]*)?@)?{_HOST}(?::(?P<port>[0-9]{{0,5}}))?(?P<path>/.+)"
)
_SCP: Final = re.compile(rf"(?:(?P<user>[^/@:]*)@)?{_HOST}:(?P<path>(?!//|:).+)")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_PORT: Final = 22
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAddress:
    """A repository on a server.

    Attributes:
        user: to log in as; `git` for most providers.
        host: in lower case, an IPv6 address without its brackets.
        path: as the server gets it; relative to the user's home where it has no slash in front.
    """

    user: str
    host: str
    port: int
    path: str

    @property
    def known_as(self) -> str:
        """The server's name in `known_hosts`: `HOST`, or `[HOST]:PORT` where the port is not SSH's own."""
        return self.host if self.port == _PORT else f"[{self.host}]:{self.port}"


def ssh_address(url: str) -> SshAddress | None:
    """Read a clone URL; None if it is one of another protocol.

    Raises:
        ValueError: it is one of SSH that cannot be used; says why, and repeats nothing of it.
    """
    match = _URL.fullmatch(url) or (None if "://" in url else _SCP.fullmatch(url))
    if match is None:
        return None
    parts = match.groupdict()
    if parts.get("password"):
        raise ValueError("has a password in it: SSH goes by the key `identity` of a secretRef")
    if not parts["user"]:
        raise ValueError("names no user: write it in front of the host, such as git@")
    if not _USER.fullmatch(parts["user"]):
        raise ValueError("has a user that is no name of a-z, 0-9 and '_', '.', '+', '-' in between")
    return SshAddress(
        user=parts["user"],
        host=parts["host"].strip("[]").lower().rstrip("."),
        port=_port(parts.get("port")),
        path=_path(unquote(parts["path"]) if match.re is _URL else parts["path"]),
    )


def _port(written: str | None) -> int:
    port = int(written) if written else _PORT
    if not 1 <= port <= _MAX_PORT:
        raise ValueError("has a port that is not between 1 and 65535")
    return port


def _path(path: str) -> str:
    if not path.isprintable() or "'" in path or "\\" in path:
        raise ValueError("has a path with a quote, a backslash or what cannot be printed")
    if path.startswith("-"):
        raise ValueError("has a path that begins with a dash")
    return path
