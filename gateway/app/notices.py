"""What observers are told, beside all that is waited for: pushes that went their way, reports that were kept.

Nothing waits for any of it: what is told while there is no way to the broker is kept up to a number, then the oldest
goes; what the broker does not take is not sent again. A message that no observer is bound to comes back and is done.
Where there is no record of an observer, nothing is done at all. Each gateway tells what it heard, so an outcome comes
once from each: by its id it is the same.

An outcome is the agent's own report, byte by byte, that counted within its record (R26), under the gateway's seal: an
observer knows one key, and no agent can tell it anything about what is not its own.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from bellpull.contract.event import ChangeUpdated, RefUpdated
from bellpull.contract.message import TYPES
from bellpull.contract.report import Report
from bellpull.contract.routing import OUTCOMES, PUSHES
from bellpull.runtime.logs import logger
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.rabbitmq.connect import BrokerError
from bellpull.runtime.rabbitmq.outcome import Outcome
from bellpull.runtime.rabbitmq.publish import Parcel
from gateway.app.parcels import Parcels
from gateway.app.way import Channel
from gateway.core.address import event_key
from gateway.core.pauses import Pauses

__all__ = ["Notices", "Telling"]

_log = logger("gateway.notices")
_ROOM: Final = 10_000
_AT_ONCE: Final = 100
_LOOK_S: Final = 2.0
_IDLE_S: Final = 0.5
_PUSHES: Final = frozenset(name for name, kind in TYPES.items() if kind in (RefUpdated, ChangeUpdated))


@dataclass(frozen=True, slots=True)
class _Told:
    """A report that was kept, with the bytes that it came as."""

    report: Report
    body: bytes


class Notices:
    """What waits to be told; nothing does, unless somebody is to be told."""

    def __init__(self) -> None:
        self.wanted = False
        self._waiting: deque[Parcel | _Told] = deque(maxlen=_ROOM)
        self._added = asyncio.Event()

    def push(self, parcel: Parcel) -> None:
        """Tell of what went to agents, if it is a push."""
        if parcel.type in _PUSHES:
            self._add(replace(parcel, exchange=PUSHES, also=()))

    def outcome(self, report: Report, body: bytes) -> None:
        """Tell of a report that was kept."""
        self._add(_Told(report, body))

    def _add(self, notice: Parcel | _Told) -> None:
        if self.wanted:
            self._waiting.append(notice)
            self._added.set()

    async def take(self, number: int, within_s: float) -> list[Parcel | _Told]:
        """Take what waits, this many at most; none if nothing came within the time."""
        if not self._waiting:
            self._added.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._added.wait()
            except TimeoutError:
                return []
        return [self._waiting.popleft() for _ in range(min(number, len(self._waiting)))]


class Telling:
    """Tells them; run it with `run`.

    Args:
        notices: what is told.
        folder: of observers' records; with none there nobody is told anything.
        parcels: makes what is sent.
        connect: a new way to the broker; raises `BrokerError`.
        metrics: where it is counted how it ended.
    """

    def __init__(
        self,
        notices: Notices,
        folder: Path,
        parcels: Parcels,
        connect: Callable[[], AbstractAsyncContextManager[Channel]],
        metrics: Metrics,
    ) -> None:
        self._notices = notices
        self._folder = folder
        self._parcels = parcels
        self._connect = connect
        self._sent = 0
        self._problem: str | None = None
        self._ended = metrics.counter(
            "bellpull_broker_told", "Messages for observers, by what became of them.", ("outcome",)
        )

    def problems(self) -> tuple[str, ...]:
        """Say what somebody should see to: degraded, not unready."""
        return (f"observers are not told: {self._problem}",) if self._notices.wanted and self._problem else ()

    async def run(self) -> NoReturn:
        """Run for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._hold())
        raise AssertionError("unreachable: none of them ends")

    async def _look(self) -> NoReturn:
        while True:
            self._notices.wanted = await asyncio.to_thread(lambda: any(self._folder.glob("*.yaml")))
            await asyncio.sleep(_LOOK_S)

    async def _hold(self) -> NoReturn:
        pauses = Pauses()
        while True:
            while not self._notices.wanted:  # noqa: ASYNC110 - a record is looked for now and then
                await asyncio.sleep(_IDLE_S)
            try:
                async with self._connect() as channel:
                    await self._serve(channel, pauses)
            except BrokerError as error:
                self._note(str(error))
            await asyncio.sleep(pauses.next_s(random.random()))

    async def _serve(self, channel: Channel, pauses: Pauses) -> None:
        for exchange in (PUSHES, OUTCOMES):
            probe = replace(self._parcels.probe(self._number()), exchange=exchange)
            if await channel.send(probe) is not Outcome.RETURNED:
                self._note(f"{exchange} is not there, or may not be published to: run: bellpull broker setup")
                return
        pauses.was_of_use()
        self._problem = None
        while channel.is_open:
            notices = await self._notices.take(_AT_ONCE, _IDLE_S)
            for outcome in await asyncio.gather(*(channel.send(self._parcel(each)) for each in notices)):
                self._ended.labels(outcome.value).inc()

    def _parcel(self, notice: Parcel | _Told) -> Parcel:
        if isinstance(notice, Parcel):
            return notice
        watches = notice.report.watches
        key = event_key(watches.repository.key, watches.ref.full if watches.ref else "")
        return self._parcels.outcome(notice.body, key, self._number())

    def _number(self) -> str:
        """Return what no other message on this way is numbered with."""
        self._sent += 1
        return f"told-{self._sent}"

    def _note(self, problem: str) -> None:
        if self._problem != problem:
            _log.warning("observers are not told", problem=problem)
        self._problem = problem
