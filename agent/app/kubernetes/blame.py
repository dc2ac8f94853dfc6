"""Who changed an object, and which fields: in the API server's own words, before it is changed back."""

from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.conflicts import shown
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.policy import Policy
from agent.ports.cluster import Cluster, ClusterError

__all__ = ["blame"]

_CREATED = 201


async def blame(cluster: Cluster, desired: Desired, policy: Policy) -> str:
    """Return who did what to an object that is no longer what it is to be; empty where that does not show.

    It is a dry run that takes nothing from anybody, so that the server names whoever has what is ours.
    """
    item = ask.members_item(desired, policy.parent)
    try:
        answer = await cluster.send(ask.apply(desired.path, item, policy.manager, force=False, dry_run=True))
    except ClusterError:
        return ""
    refused = refusal(answer)
    if refused is None:
        return "deleted" if answer.status == _CREATED else ""
    return shown(refused.causes) if refused.kind is RefusalKind.CONFLICT else ""
