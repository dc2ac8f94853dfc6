"""A hundred large bodies at once, at a gateway that runs: cut off, within bounds of memory, and nobody else waits."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.gateway.github import headers, payload
from tests.gateway.process import Folder
from tests.gateway.test_tls import PLAIN, WITH_TLS, Authority

MAX_GROWTH_MIB = 350
"""Bodies that are held may be 128 MiB; a body that grows is there twice for a moment, and TLS has its buffers."""


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(26 * 16):
        yield b" " * 65536


async def _large(session: aiohttp.ClientSession, url: str) -> int:
    """Send 26 MiB in chunks; return the status, 0 where the connection was cut before it was read."""
    try:
        async with session.post(url, data=_endless(), headers={"Content-Type": "application/json"}) as answer:
            return answer.status
    except aiohttp.ClientError:
        return 0


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
async def test_a_hundred_large_bodies_at_once_stay_within_bounds(tmp_path: Path, with_tls: bool) -> None:
    """R41, R42: what is too much is refused while it is read; a small push among them is not."""
    folder, context = Folder(tmp_path), ssl.create_default_context()
    if with_tls:
        config = await asyncio.to_thread((tmp_path / "gateway.yaml").read_text)
        folder.write("gateway.yaml", config.replace(PLAIN, WITH_TLS))
        authority = Authority(folder)
        authority.issue("127.0.0.1")
        context = authority.context
    with folder.running() as gateway:
        scheme = "https" if with_tls else "http"
        url = f"{gateway.hooks.replace('http', scheme)}/hooks/github"
        before = _resident_mib(gateway.process.pid)
        small = orjson.dumps(payload())
        signed = {name.decode(): value.decode() for name, value in headers(small)}
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            large = [tasks.create_task(_large(session, url)) for _ in range(100)]
            await asyncio.sleep(0.2)
            async with session.post(url, data=small, headers=signed) as answer:
                assert answer.status == 202
        grown = _resident_mib(gateway.process.pid) - before
    statuses = Counter(task.result() for task in large)
    assert set(statuses) <= {0, 413, 503}, statuses
    assert statuses[503] + statuses[413] > 50, statuses
    assert grown < MAX_GROWTH_MIB
