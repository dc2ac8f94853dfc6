"""What `bellpull check` looks at in Git, for each Sync of an agent."""

import asyncio
from typing import Final

from agent.adapters.credentials import CredentialError, read_remote
from agent.app.config import AgentConfig
from agent.ports.git import AccessDeniedError, Git, GitError, HostKeyError, RefGoneError, RepositoryGoneError
from agent.spec import Sync
from bellpull.cli.finding import Finding, bad, good

__all__ = ["of_source"]

_ADVICE: Final = {
    RefGoneError: "name a branch or tag that is there",
    RepositoryGoneError: "is the URL right? A private repository needs a secretRef",
    AccessDeniedError: "mend the secretRef: username and password, or identity for SSH",
    HostKeyError: "trust only a fingerprint that the provider publishes, or that who runs the server tells you",
}


async def of_source(git: Git, config: AgentConfig, sync: Sync) -> Finding:
    """Return whether the repository of `sync` can be reached, and its ref is there."""
    what = f"{sync.name} source"
    source = sync.spec.source
    secret = source.secret_ref.name if source.secret_ref else None
    try:
        remote = await asyncio.to_thread(read_remote, source.url, config.secrets, secret)
        tip = await git.tip(remote, sync.ref)
    except CredentialError as error:
        return bad(what, str(error), "put it there, readable by the user the agent runs as")
    except GitError as error:
        return bad(what, str(error), _ADVICE.get(type(error), "is the server up, is a firewall or proxy between?"))
    return good(what, f"{source.url} {sync.ref.full} is at {tip[:12]}")
