"""What waits to be told to observers is bounded, and nothing waits where there are none."""

import asyncio
from dataclasses import replace

from bellpull.contract.message import encode
from bellpull.contract.routing import EVENTS, PUSHES
from bellpull.runtime.rabbitmq.publish import Parcel
from gateway.app.notices import Notices
from tests.gateway import examples

PUSH = Parcel(
    exchange=EVENTS,
    message_id="m",
    key="k",
    type="dev.bellpull.ref.updated.v1",
    body=encode(examples.push(1)),
    seal="a..b",
    also=("agent.web-1",),
)


def _numbered(number: int) -> Parcel:
    return replace(PUSH, message_id=str(number))


async def test_only_what_can_be_granted_is_told_and_only_where_there_is_an_observer() -> None:
    notices = Notices()
    notices.push(PUSH)
    notices.wanted = True
    notices.push(replace(PUSH, type="dev.bellpull.resync.v1"))
    notices.push(replace(PUSH, type="dev.bellpull.tick.v1"))
    notices.push(PUSH)
    assert await notices.take(10, 0.0) == [replace(PUSH, exchange=PUSHES, also=())]
    assert await notices.take(10, 0.0) == []


async def test_what_nobody_takes_goes_the_oldest_first() -> None:
    """An observer's way may be away for long: nobody waits, and no memory is filled."""
    notices = Notices()
    notices.wanted = True
    for number in range(10_500):
        notices.push(_numbered(number))
    found = [each for _ in range(20) for each in await notices.take(1000, 0.0)]
    assert found == [replace(_numbered(number), exchange=PUSHES, also=()) for number in range(500, 10_500)]


async def test_who_waits_is_woken() -> None:
    notices = Notices()
    notices.wanted = True
    waiting = asyncio.gather(notices.take(10, 30.0))
    await asyncio.sleep(0)
    notices.push(PUSH)
    assert len((await waiting)[0]) == 1
