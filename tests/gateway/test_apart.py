"""Large deliveries, received in a process apart: the same outcome, and what happens when that process is gone."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from bellpull.contract.event import RefUpdated
from bellpull.contract.message import Message
from bellpull.runtime.clock import utc_now
from gateway.adapters.apart import Apart
from gateway.core.receive import Accepted, Ignored, Outcome, Rejected, receive
from gateway.core.request import Headers, Request
from tests.gateway.github import NOW, SOURCE, headers, payload

PUSH = orjson.dumps(payload() | {"padding": "x" * 300_000})


def delivery(body: bytes, change: Callable[[bytes], bytes] = bytes) -> Request:
    return Request(headers=Headers(tuple(headers(body))), body=change(body), received=NOW)


def _pids(apart: Apart) -> list[int]:
    return [process.pid for process in apart._idle]


def _change(message: Message) -> object:
    assert isinstance(message.data, RefUpdated)
    return replace(message.data, hops=replace(message.data.hops, accepted=NOW))


CASES = (
    pytest.param(delivery(PUSH), Accepted, id="a push"),
    pytest.param(delivery(b"{" * 300_000), Rejected, id="authentic, and no JSON"),
    pytest.param(delivery(PUSH, lambda body: body[:-1] + b" "), Rejected, id="changed on its way"),
)


@pytest.mark.parametrize(("request_", "kind"), CASES)
async def test_what_becomes_of_it_is_the_same_as_here(request_: Request, kind: type[Outcome]) -> None:
    async with Apart() as apart:
        elsewhere = await apart.receive(request_, SOURCE)
    here = receive(request_, SOURCE, utc_now())
    assert type(elsewhere) is type(here) is kind
    match elsewhere, here:
        case Accepted(), Accepted():
            assert [each.id for each in elsewhere.messages] == [each.id for each in here.messages]
            assert (elsewhere.delivery, elsewhere.digest) == (here.delivery, here.digest)
            assert [_change(each) for each in elsewhere.messages] == [_change(each) for each in here.messages]
        case ((Rejected() | Ignored()), _):
            assert elsewhere == here


async def test_what_nothing_vouches_for_starts_no_process() -> None:
    async with Apart() as apart:
        refused = await apart.receive(delivery(PUSH, bytes.swapcase), SOURCE)
        assert (isinstance(refused, Rejected), _pids(apart)) == (True, [])


async def test_never_more_than_two_at_once_and_they_are_kept() -> None:
    async with Apart() as apart:
        outcomes = await asyncio.gather(*(apart.receive(delivery(PUSH), SOURCE) for _ in range(6)))
        kept = _pids(apart)
        assert all(isinstance(each, Accepted) for each in outcomes)
        assert 1 <= len(kept) <= 2
        await apart.receive(delivery(PUSH), SOURCE)
        assert set(_pids(apart)) == set(kept)
    for pid in kept:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_one_that_is_not_needed_ends() -> None:
    async with Apart(keep_s=0.05) as apart, asyncio.timeout(20):
        await apart.receive(delivery(PUSH), SOURCE)
        while _pids(apart):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_a_process_that_was_killed_is_503_and_the_next_delivery_has_another() -> None:
    """P1, P11: nothing is lost that was answered; the sender is told to come again."""
    async with Apart() as apart:
        await apart.receive(delivery(PUSH), SOURCE)
        (pid,) = _pids(apart)
        os.kill(pid, signal.SIGKILL)
        refused = await apart.receive(delivery(PUSH), SOURCE)
        assert isinstance(refused, Rejected)
        assert (refused.status, "ended with code -9" in refused.reason) == (503, True)
        assert isinstance(await apart.receive(delivery(PUSH), SOURCE), Accepted)
