"""How tests get to a repository on `tests.parts.sshd`."""

from agent.core.known_hosts import pins
from agent.core.ssh_address import ssh_address
from agent.ports.git import Remote, SshAccess
from bellpull.runtime.secret import Secret
from tests.parts.sshd import KeyPair

__all__ = ["remote_at"]


def remote_at(url: str, known_hosts: bytes, identity: KeyPair, passphrase: str = "") -> Remote:
    """Return the repository at `url`, of a server that `known_hosts` pins, as whom `identity` belongs to."""
    address = ssh_address(url)
    assert address is not None
    return Remote(
        url=url,
        ssh=SshAccess(
            address=address,
            identity=Secret(identity.private),
            passphrase=Secret(passphrase.encode()) if passphrase else None,
            pins=pins(known_hosts, address),
        ),
    )
