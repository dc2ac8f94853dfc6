"""The way to a server by SSH: a relay that libgit2 dials, the pins it is to check by, and the key to log in with.

A server is trusted if libgit2 says that the key it showed is pinned, and if the key that was overheard is: either
alone is not enough. Nothing is sent to a server before, not even the user's name.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

import pygit2
from pygit2.enums import CredentialType

from agent.adapters.git.limit import Limit
from agent.adapters.git.problems import unreachable
from agent.adapters.git.relay import Relay
from agent.adapters.git.trust import HOME
from agent.core.known_hosts import HostKey, is_offered, why_not
from agent.ports.git import AccessDeniedError, HostKeyError, SshAccess

__all__ = ["SshWay", "by_ssh"]


class SshWay:
    """What libgit2 is told on the way (satisfies `Way`).

    Args:
        shown: the URL for messages.
        access: how to get in.
        relay: to the server.
    """

    def __init__(self, shown: str, access: SshAccess, relay: Relay) -> None:
        self._shown = shown
        self._access = access
        self._relay = relay
        self._asked = False

    @property
    def url(self) -> str:
        """What to dial: the form in which a path is passed on as it is."""
        address = self._access.address
        return f"[{address.user}@127.0.0.1:{self._relay.port}]:{address.path}"

    @property
    def shows_other_types(self) -> bool:
        """Whether the server said that it has no key of a type that is pinned."""
        offered = self._relay.heard.algorithms
        return bool(offered) and not is_offered(self._access.pins, offered)

    def trusts(self, *, valid: bool) -> bool:
        """Return that the server is trusted.

        Args:
            valid: what libgit2 says of the key.

        Raises:
            HostKeyError: it is not.
        """
        if valid and self._relay.heard.key in self._access.pins.keys:
            return True
        raise HostKeyError(self._shown, why_not(self._access.pins, self._relay.heard.key))

    def credential(self, url: str, allowed: CredentialType) -> pygit2.KeypairFromMemory:
        """Return the key to log in with, once.

        Raises:
            AccessDeniedError: the server refused it, or takes none.
        """
        del url
        if not allowed & CredentialType.SSH_MEMORY:
            raise AccessDeniedError(self._shown, "the server lets nobody in by a key (publickey)")
        if self._asked:
            problem = "the server refused the key `identity` of the secretRef: add its public half as a deploy key"
            raise AccessDeniedError(self._shown, f"{problem} (ssh-keygen -y -f identity)")
        self._asked = True
        access = self._access
        passphrase = access.passphrase.reveal().decode() if access.passphrase else ""
        return pygit2.KeypairFromMemory(access.address.user, None, access.identity.reveal().decode(), passphrase)


@contextmanager
def by_ssh(shown: str, access: SshAccess, limit: Limit, trusted: Collection[HostKey]) -> Iterator[SshWay]:
    """Dial the server, and have libgit2 ask it for one of the keys `trusted`; for any it likes where there are none.

    Raises:
        TransientError: it cannot be reached.
    """
    with ExitStack() as stack:
        try:
            relay = stack.enter_context(Relay(access.address.host, access.address.port, limit))
            stack.enter_context(HOME.trusting(relay.port, trusted))
        except OSError as error:
            raise unreachable(shown, error) from None
        yield SshWay(shown, access, relay)
