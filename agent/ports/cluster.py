"""A cluster, as the agent needs it: somebody who takes requests to its API server."""

from typing import Protocol

from agent.core.kubernetes.requests import Answer, Request

__all__ = ["Cluster", "ClusterError"]


class ClusterError(Exception):
    """No answer came: the address, the reason, and what to do. Whether a write was done is unknown."""


class Cluster(Protocol):
    """One API server, as one user."""

    async def send(self, request: Request) -> Answer:
        """Return the answer, also where it is a refusal; what may pass by itself was tried again before (429, 503).

        Raises:
            ClusterError: there is none: the server cannot be reached, is not to be trusted, or took too long.
        """
        ...
