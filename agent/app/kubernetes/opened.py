"""A cluster that Syncs are applied to, and what is known of it for all of them."""

from agent.adapters.kubernetes.discovery import Discovery
from agent.app.kubernetes.autoscalers import Autoscalers
from agent.app.kubernetes.forgotten import Forgotten
from agent.app.kubernetes.watching import Watching
from agent.core.kubernetes.resources import Resources
from agent.ports.cluster import WatchedCluster

__all__ = ["Opened"]


class Opened:
    """One cluster, as one user.

    Args:
        cluster: takes requests.
    """

    def __init__(self, cluster: WatchedCluster) -> None:
        self.cluster = cluster
        self.autoscalers = Autoscalers(cluster)
        self._discovery = Discovery(cluster)
        self.forgotten = Forgotten(cluster, self._discovery)
        self.watching = Watching(cluster, defined=self._discovery.forget)

    async def resources(self, *, anew: bool = False) -> Resources:
        """Return what is served; asked `anew` after something was not found, or a kind was made.

        Raises:
            ClusterError: the cluster does not say.
        """
        if anew:
            self._discovery.forget()
        return await self._discovery.resources()
