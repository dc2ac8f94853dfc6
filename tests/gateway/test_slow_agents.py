"""Agents that do not read, agents whose machine is gone, and many at once (R17)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bellpull.contract.stream import EVENTS_PATH
from bellpull.contract.text import Name
from gateway.app import streams as module
from gateway.app import telling
from gateway.app.streams import Ending
from tests.gateway.agents import TOKEN, Gateway, gateway, record
from tests.gateway.examples import push
from tests.parts.vanishing import vanish
from tests.suites.transport import until

__all__ = ["gateway"]

_EVENTS = 8_000
"""Some 9 MB of frames: more than the kernel keeps for a connection."""


@asynccontextmanager
async def connection(gateway: Gateway) -> AsyncIterator[socket.socket]:
    """A stream that was asked for, on a socket with little room of its own."""
    loop = asyncio.get_running_loop()
    with socket.socket() as agent:
        agent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        agent.setblocking(False)
        port = int(gateway.url.rpartition(":")[2])
        await loop.sock_connect(agent, ("127.0.0.1", port))
        asked = f"GET {EVENTS_PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {TOKEN}\r\n"
        await loop.sock_sendall(agent, f"{asked}Last-Event-ID: {gateway.cursor(0)}\r\n\r\n".encode())
        yield agent


async def ended(gateway: Gateway, ending: Ending) -> None:
    name = f'bellpull_agents_streams_ended_total{{reason="{ending.value}"}}'
    await until(lambda: gateway.counted(name) == 1, lambda: gateway.metrics.render()[0].decode())


async def test_an_agent_that_does_not_read_is_let_go(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is blocked for half a minute ends the stream; until then no more is read than can be sent."""
    assert module._STALLED_S == 30
    monkeypatch.setattr(module, "_STALLED_S", 1.0)
    asked: list[int] = []
    page = gateway.journal.page

    async def noted(after: int, limit: int = 500) -> object:
        asked.append(after)
        return await page(after, limit)

    monkeypatch.setattr(gateway.journal, "page", noted)
    async with connection(gateway):
        await gateway.push(*(push(1, ref=f"refs/heads/b{n}") for n in range(_EVENTS)))
        await ended(gateway, Ending.STALLED)
        assert telling._ROWS <= max(asked) < _EVENTS - telling._ROWS
    async with gateway.stream(gateway.cursor(_EVENTS)) as stream:
        await gateway.push(push(2))
        assert await stream.message() == (_EVENTS + 1, push(2).id)


async def test_an_agent_whose_machine_is_gone_is_noticed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody acknowledges the tick, and the kernel gives up: not after the quarter of an hour that is its own."""
    assert module._DEAD_S + module._TICK_S <= 60
    monkeypatch.setattr(module, "_DEAD_S", 1.0)
    monkeypatch.setattr(module, "_TICK_S", 0.2)
    async with connection(gateway) as agent:
        await asyncio.get_running_loop().sock_recv(agent, 100)
        vanish(agent)
        await ended(gateway, Ending.GONE)
        assert gateway.counted('bellpull_agents_listening{way="stream"}') == 0


async def test_two_streams_with_one_token_both_hear_everything(gateway: Gateway) -> None:
    """R19: a standby hears what its leader hears."""
    async with gateway.stream(gateway.cursor(0)) as one, gateway.stream(gateway.cursor(0)) as other:
        for number in range(1, 6):
            await gateway.push(push(number))
            assert await one.message() == await other.message() == (number, push(number).id)
        assert gateway.counted('bellpull_agents_listening{way="stream"}') == 2


async def test_who_is_behind_reads_sixteen_at_a_time(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come back at once; and who is not behind waits for none of them."""
    await gateway.push(push(1))
    now, most, may_go = 0, 0, asyncio.Event()
    page = gateway.journal.page

    async def slow(after: int, limit: int = 500) -> object:
        nonlocal now, most
        if after == 0:
            now += 1
            most = max(most, now)
            await may_go.wait()
            now -= 1
        return await page(after, limit)

    monkeypatch.setattr(gateway.journal, "page", slow)
    agents = {Name(f"web-{number}"): f"bpa_web-{number}_{number:043}" for number in range(2, 42)}
    gateway.records |= {name: record(agent=name, token=token) for name, token in agents.items()}
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        live = await stack.enter_async_context(gateway.stream(gateway.cursor(1)))
        await live.next()
        streams = [gateway.stream(gateway.cursor(0), token) for token in agents.values()]
        behind = [await stack.enter_async_context(stream) for stream in streams]
        await until(lambda: now == 16, lambda: f"{now} read")
        await gateway.push(push(2))
        assert await live.message() == (2, push(2).id)
        may_go.set()
        for stream in behind:
            assert [await stream.message(), await stream.message()] == [(1, push(1).id), (2, push(2).id)]
    assert most == 16
