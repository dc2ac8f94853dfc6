"""The embedded transport keeps what every transport does: as a stream and by polls, directly and through nginx."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.suites.embedded import BUFFERING, Route, embedded
from tests.suites.transport import Harness, TransportSuite, seed

__all__ = ["seed"]


class TestStream(TransportSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        async with embedded(tmp_path) as made:
            yield made


class TestPoll(TransportSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        async with embedded(tmp_path, polls=True) as made:
            yield made


class TestStreamThroughNginx(TransportSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path, nginx_program: Path) -> AsyncIterator[Harness]:
        async with embedded(tmp_path, route=Route.BEFORE, nginx=nginx_program) as made:
            yield made


class TestPollThroughBufferingNginx(TransportSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path, nginx_program: Path) -> AsyncIterator[Harness]:
        async with embedded(tmp_path, polls=True, route=Route.BEFORE, nginx=nginx_program, proxy=BUFFERING) as made:
            yield made


class TestStreamWithNginxBeforeTheNetwork(TransportSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path, nginx_program: Path) -> AsyncIterator[Harness]:
        async with embedded(tmp_path, route=Route.BEHIND, nginx=nginx_program) as made:
            yield made
