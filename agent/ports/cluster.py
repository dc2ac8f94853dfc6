"""A cluster, as the agent needs it: somebody who takes requests to its API server."""

from collections.abc import AsyncGenerator
from typing import Protocol

from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Answer, Request

__all__ = ["Cluster", "ClusterError", "RefusedError", "WatchedCluster"]


class ClusterError(Exception):
    """No answer came: the address, the reason, and what to do. Whether a write was done is unknown."""


class RefusedError(Exception):
    """A watch was refused before it began.

    Attributes:
        answer: the refusal.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"a watch was refused with {answer.status}")
        self.answer = answer


class Cluster(Protocol):
    """One API server, as one user."""

    async def send(self, request: Request) -> Answer:
        """Return the answer, also where it is a refusal; what may pass by itself was tried again before (429, 503).

        Raises:
            ClusterError: there is none: the server cannot be reached, is not to be trusted, or took too long.
        """
        ...


class WatchedCluster(Cluster, Protocol):
    """One that shows what happens there."""

    def watch(self, request: Request, *, silence_s: float) -> AsyncGenerator[Object | None]:
        """Yield None once the server shows something, then that, event by event, until the server ends it.

        Args:
            request: with `watch` in its query.
            silence_s: how long the server may show nothing.

        Raises:
            RefusedError: the server says no, with its answer.
            ClusterError: it cannot be reached, the connection broke, or it was silent for too long.
        """
        ...
