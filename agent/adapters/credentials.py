"""Credentials of Git remotes: a folder for each `secretRef`, a file for each key of it.

The shape is that of a Secret mounted into a Pod, so that a Sync reads the same on a server and in a cluster. Files
are read anew for every fetch: a rotated credential is used at the next one.
"""

from pathlib import Path

from agent.ports.git import Remote
from bellpull.runtime.secret import Secret

__all__ = ["CredentialError", "read_remote"]


class CredentialError(Exception):
    """A credential that a Sync names cannot be read; the message has the file and what to do."""


def read_remote(url: str, folder: Path | None, name: str | None) -> Remote:
    """Return the remote at `url` with the credential `name` below `folder`. Blocks.

    Raises:
        CredentialError: it is named, and not there or not readable.
    """
    if name is None:
        return Remote(url=url, username=None, password=None)
    if folder is None:
        raise CredentialError(f"secretRef {name}: the agent's configuration has no `secrets` folder")
    return Remote(
        url=url,
        username=_read(folder / name / "username").decode(),
        password=Secret(_read(folder / name / "password")),
    )


def _read(path: Path) -> bytes:
    try:
        value = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise CredentialError(f"{path}: {error.strerror}") from None
    if not value:
        raise CredentialError(f"{path}: is empty")
    return value
