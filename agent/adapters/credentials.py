"""Credentials of Git remotes: a folder for each `secretRef`, a file for each key of it.

The shape is that of a Secret mounted into a Pod, with the names that Flux has for the keys, so that a Sync reads the
same on a server and in a cluster. Files are read anew for every fetch: a rotated credential is used at the next one.

For HTTPS they are `username` and `password`; for SSH `identity` (a private key), `known_hosts`, and `password` where
the key has a passphrase. SSH without a pinned host key is refused: whoever answers first is not trusted for that.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Final

from agent.core.known_hosts import KnownHostsError, Pins, pins
from agent.core.ssh_address import SshAddress, ssh_address
from agent.ports.git import Remote, SshAccess
from bellpull.runtime.secret import Secret

__all__ = ["CredentialError", "read_remote"]

_PRIVATE: Final = re.compile(rb"-----BEGIN (?:OPENSSH |RSA |EC |ENCRYPTED )?PRIVATE KEY-----")
_LOCKED_PEM: Final = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_OPENSSH: Final = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_OPEN: Final = b"openssh-key-v1\0\0\0\0\4none"


class CredentialError(Exception):
    """A credential that a Sync names cannot be read; the message has the file and what to do."""


def read_remote(url: str, folder: Path | None, name: str | None) -> Remote:
    """Return the remote at `url` with the credential `name` below `folder`. Blocks.

    Raises:
        CredentialError: it is named, and not there or not readable; or SSH goes without what it needs.
        ValueError: the URL is one of SSH that cannot be used.
    """
    address = ssh_address(url)
    if name is None and address is not None:
        raise CredentialError(f"{address.host}: SSH needs a secretRef with the files identity and known_hosts")
    if name is None:
        return Remote(url=url)
    if folder is None:
        raise CredentialError(f"secretRef {name}: the agent's configuration has no `secrets` folder")
    if address is not None:
        return Remote(url=url, ssh=_access(address, folder / name))
    return Remote(
        url=url,
        username=_read(folder / name / "username").decode(),
        password=Secret(_read(folder / name / "password")),
    )


def _access(address: SshAddress, folder: Path) -> SshAccess:
    identity = _read(folder / "identity")
    passphrase = _read(folder / "password") if (folder / "password").exists() else None
    if not _PRIVATE.search(identity):
        raise CredentialError(f"{folder / 'identity'}: is no private key as OpenSSH or PEM have it")
    if passphrase is None and _is_locked(identity):
        raise CredentialError(f"{folder / 'identity'}: has a passphrase: put it into the file `password` beside it")
    return SshAccess(
        address=address,
        identity=Secret(identity + b"\n"),
        passphrase=Secret(passphrase) if passphrase else None,
        pins=_pins(address, folder / "known_hosts"),
    )


def _pins(address: SshAddress, path: Path) -> Pins:
    port = "" if address.known_as == address.host else f"-p {address.port} "
    how = (
        f"`ssh-keyscan {port}{address.host}` prints lines for it; compare their fingerprints (ssh-keygen -l) "
        "with those the provider publishes before you trust them"
    )
    if not path.exists():
        raise CredentialError(f"{path}: is not there, and no host key is trusted without it: {how}")
    try:
        found = pins(path.read_bytes(), address)
    except OSError as error:
        raise CredentialError(f"{path}: {error.strerror}") from None
    except KnownHostsError as error:
        raise CredentialError(f"{path}: {error}") from None
    if not found.keys:
        raise CredentialError(f"{path}: has no key for {found.host} that can be used: {how}")
    return found


def _is_locked(identity: bytes) -> bool:
    """Whether a private key is encrypted; no where that cannot be seen."""
    match = _OPENSSH.search(identity)
    if match is None:
        return _LOCKED_PEM.search(identity) is not None
    try:
        return not base64.b64decode(match[1]).startswith(_OPEN)
    except binascii.Error:
        return False


def _read(path: Path) -> bytes:
    try:
        value = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise CredentialError(f"{path}: {error.strerror}") from None
    if not value:
        raise CredentialError(f"{path}: is empty")
    return value
