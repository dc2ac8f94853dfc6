"""What `bellpull check` looks at in Git, for each Sync of an agent."""

import asyncio
import ssl
from pathlib import Path
from typing import Final

from agent.adapters.credentials import CredentialError, read_remote
from agent.app.config import AgentConfig
from agent.core.ssh_address import SshAddress
from agent.ports.git import (
    AccessDeniedError,
    Git,
    GitError,
    HostKeyError,
    RefGoneError,
    Remote,
    RepositoryGoneError,
    TransientError,
    shown,
)
from agent.spec import Sync
from bellpull.cli.check_cause import Peer, not_reached
from bellpull.cli.check_dial import dialled, http_peer, of_ca, of_url
from bellpull.cli.finding import Finding, bad, good

__all__ = ["of_source"]

_ADVICE: Final = {
    RefGoneError: "name a branch or tag that is there",
    RepositoryGoneError: "is the URL right? A private repository needs a secretRef",
    AccessDeniedError: "mend the secretRef: username and password, or identity for SSH",
    HostKeyError: "trust only a fingerprint that the provider publishes, or that who runs the server tells you",
}

_OF_THE_WAY: Final = (TransientError, AccessDeniedError)
"""What may also come from a proxy, or from a server that was not reached."""
_OTHERWISE: Final = "see the log of the server, or of the proxy before it"
_REFS: Final = "/info/refs?service=git-upload-pack"


async def of_source(git: Git, config: AgentConfig, sync: Sync) -> Finding:
    """Return whether the repository of `sync` can be reached, and its ref is there."""
    what = f"{sync.name} source"
    source = sync.spec.source
    secret = source.secret_ref.name if source.secret_ref else None
    try:
        remote = await asyncio.to_thread(read_remote, source.url, config.secrets, secret)
    except CredentialError as error:
        return bad(what, str(error), "put it there, readable by the user the agent runs as")
    except GitError as error:
        return bad(what, str(error), _ADVICE.get(type(error), _OTHERWISE))
    try:
        tip = await git.tip(remote, sync.ref)
    except GitError as error:
        unreached = await _unreached(what, remote, config.git.ca) if isinstance(error, _OF_THE_WAY) else None
        return unreached or bad(what, str(error), _ADVICE.get(type(error), _OTHERWISE))
    return good(what, f"{source.url} {sync.ref.full} is at {tip[:12]}")


async def _unreached(what: str, remote: Remote, ca: Path | None) -> Finding | None:
    """Return why a server is not even spoken to; asked without what would let us in."""
    if remote.ssh is not None:
        return await asyncio.to_thread(_undialled, what, remote.ssh.address)
    if (problem := await of_ca("git.ca", ca)) is not None:
        return problem
    url = shown(remote.url).rstrip("/") + _REFS
    peer = http_peer(url, what=what, who="the Git server", setting="source.url", ca="git.ca")
    return await of_url(peer, url, await asyncio.to_thread(_trusting, ca))


def _trusting(ca: Path | None) -> ssl.SSLContext:
    """Return what trusts whom the agent trusts for Git: `ca`, and the system's."""
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context


def _undialled(what: str, at: SshAddress) -> Finding | None:
    peer = Peer(what=what, who="the Git server", host=at.host, port=at.port, url="source.url", ca="")
    cause = dialled(peer)
    return None if cause is None else not_reached(peer, cause)
