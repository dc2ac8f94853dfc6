"""What the Syncs of one agent share of a cluster."""

import asyncio

import pytest

from agent.app.kubernetes.clusters import Clusters
from agent.ports.cluster import ClusterError
from tests.parts.control_plane import ControlPlane


async def test_syncs_of_one_cluster_share_a_client_and_ask_once_what_is_served(control_plane: ControlPlane) -> None:
    """However many begin at once: a thousand Syncs are no thousand connections and looks."""
    clusters = Clusters(b"key")
    try:
        mark = control_plane.audit.mark()

        async def begin() -> object:
            opened = await clusters.open(control_plane.kubeconfig, None)
            await opened.resources()
            return opened.cluster

        clients = await asyncio.gather(*(begin() for _ in range(20)))
        asked = control_plane.audit.since(mark, lambda each: each.path in ("/api", "/apis"))
        assert len({id(each) for each in clients}) == 1
        assert sorted(each.path for each in asked if "bellpull" in each.agent) == ["/api", "/apis"]
    finally:
        await clusters.close()


async def test_one_that_cannot_be_opened_is_tried_again(control_plane: ControlPlane) -> None:
    """A context that is missing today may be there tomorrow; other clusters do not wait for it."""
    clusters = Clusters(b"key")
    try:
        for _ in range(2):
            with pytest.raises(ClusterError, match="nowhere"):
                await clusters.open(control_plane.kubeconfig, "nowhere")
        assert [*await (await clusters.open(control_plane.kubeconfig, None)).resources()]
    finally:
        await clusters.close()
