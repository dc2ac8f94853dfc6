"""A gateway that may have few files open, and strangers who would take them all."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.gateway.github import payload
from tests.gateway.process import Folder, Gateway, deliver

FILES = 256
STRANGERS = 400
_LIMITED = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
runpy.run_module("bellpull", run_name="__main__", alter_sys=True)
"""
_BODY = b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@contextmanager
def strangers(gateway: Gateway) -> Iterator[None]:
    """Have as many connections as come in, to every listener: each third says nothing, begins a head, or a body."""
    with ExitStack() as stack:
        for number in range(STRANGERS):
            url = (gateway.hooks, gateway.agents, gateway.console)[number % 3]
            host, _, port = url.removeprefix("http://").rpartition(":")
            connection = stack.enter_context(socket.create_connection((host, int(port)), 5))
            connection.sendall((b"", b"POST /hooks", _BODY)[number // 3 % 3])
        yield


async def test_strangers_do_not_take_the_files_that_the_journal_needs(folder: Folder) -> None:
    """P1, R42: pushes are answered within a second and are on disk, whoever else has connections to all listeners."""
    with folder.running(program=("-c", _LIMITED)) as gateway:
        took = []
        for round_ in range(3):
            with strangers(gateway):
                begun = time.monotonic()
                answer = await asyncio.to_thread(deliver, gateway.hooks, payload(), delivery=f"d{round_}")
                took.append(time.monotonic() - begun)
                assert answer.status == 202
        assert gateway.stop() == 0
    assert min(took) < 1, took
    assert max(took) < 3, took
    assert len([row for row in folder.rows() if row[2] == payload()["after"]]) == 3
    said = [line["event"] for line in folder.lines()]
    assert "no connection can be accepted" not in said
    assert [line for line in folder.lines() if line["level"] == "error"] == []
    (cut,) = (line for line in folder.lines() if line["event"].startswith("fewer connections"))
    assert (cut["open_files"], cut["hooks"], cut["agents"], cut["console"]) == (FILES, 64, 64, 64)
