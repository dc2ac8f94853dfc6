"""A client of the tests' cluster, and a hand in a namespace of the test's own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agent.adapters.kubernetes.client import Client, connect
from tests.agent.kubernetes.cluster import Hand
from tests.parts.control_plane import ControlPlane


@pytest_asyncio.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def hand(client: Client, control_plane: ControlPlane, namespace: str) -> Hand:
    return Hand(client, control_plane, namespace)
