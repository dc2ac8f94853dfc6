"""Says what became of commits, and that the agent is there.

One task sends, one message after the other, so that what the gateway hears is in the order of (epoch, seq). While
the gateway is away the newest thousand reports wait; what is dropped beyond that is in the last words that every
full heartbeat carries (R36), so nothing is lost for good. A message is sealed when it is sent (R27).
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.core.outcome import count_words, state_digest
from agent.core.pulse import Beat, Pulse
from agent.ports.queue import Queue, QueueError, ReportRefusedError
from bellpull import __version__
from bellpull.contract.ids import agent_message_id
from bellpull.contract.message import Message, encode
from bellpull.contract.report import Heartbeat, Report, SyncState
from bellpull.contract.seal import SealType, Signer, seal
from bellpull.contract.text import MessageId, Name
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["Identity", "Reporter"]

_log = logger(__name__)
_KEPT: Final = 1000
_FIRST_RETRY_S: Final = 0.5
_LAST_RETRY_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who speaks: names, the report key, and how often this agent has started."""

    agent: Name
    environment: Name
    installation: Name
    signer: Signer
    epoch: int


class Reporter:
    """Sends reports and heartbeats. `say`, `changed` and `reachable` never wait.

    Args:
        queue: where to.
        identity: who speaks.
        states: gives the state of every Sync as of now.
    """

    def __init__(self, queue: Queue, identity: Identity, states: Callable[[], tuple[SyncState, ...]]) -> None:
        self._queue = queue
        self._identity = identity
        self._states = states
        self._outbox: deque[Message] = deque(maxlen=_KEPT)
        self._pulse = Pulse()
        self._seq = 0
        self._wake = asyncio.Event()
        self._reachable = asyncio.Event()
        self.last_event: MessageId | None = None

    def say(self, draft: Callable[[int, int], Report]) -> None:
        """Send the report that `draft(epoch, seq)` makes."""
        self._outbox.append(self._message(draft(self._identity.epoch, self._next_seq())))
        self.changed()

    def changed(self) -> None:
        """The state of a Sync is another: the next heartbeat carries all."""
        self._pulse = self._pulse.owe()
        self._wake.set()

    def reachable(self) -> None:
        """The gateway was just heard: what waits for it need not wait longer."""
        self._reachable.set()

    async def run(self) -> None:
        """Send what there is to send, until cancelled."""
        pause_s = _FIRST_RETRY_S
        while True:
            self._wake.clear()
            self._reachable.clear()
            try:
                if not await self._send_next():
                    await self._pause(utc_now())
                pause_s = _FIRST_RETRY_S
            except QueueError as error:
                _log.warning("reports wait for the gateway", error=str(error), waiting=len(self._outbox))
                again = await self._is_reachable_within(random.uniform(0, pause_s))
                pause_s = _FIRST_RETRY_S if again else min(pause_s * 2, _LAST_RETRY_S)

    async def _is_reachable_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):  # wait_for may lose a cancellation
                await self._reachable.wait()
        except TimeoutError:
            return False
        return True

    async def flush(self) -> None:
        """Send the reports that wait, each once; for the way out."""
        with contextlib.suppress(QueueError):
            while self._outbox:
                await self._send_report()

    async def _send_next(self) -> bool:
        """Send one report, or the heartbeat that is due; a heartbeat that fails is made anew, not sent again."""
        if self._outbox:
            await self._send_report()
            return True
        now = utc_now()
        beat = self._pulse.due(now)
        if beat is None:
            return False
        self._pulse = self._pulse.sent(beat, now, random.random())
        try:
            await self._send(self._message(self._heartbeat(beat)))
        except QueueError:
            self._pulse = self._pulse.owe()
            raise
        return True

    async def _send_report(self) -> None:
        report = self._outbox[0]
        try:
            await self._send(report)
        except ReportRefusedError as error:
            _log.error("the gateway refused a report, which is dropped", id=report.id, error=str(error))
        if self._outbox and self._outbox[0] is report:
            self._outbox.popleft()

    async def _pause(self, now: datetime) -> None:
        wait_s = (self._pulse.next_due(now) - now).total_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait_s, 0.01)):
                await self._wake.wait()

    async def _send(self, message: Message) -> None:
        body = encode(message)
        identity = self._identity
        sealed = seal(
            body,
            seal_type=SealType.REPORT,
            audience=identity.installation,
            now=utc_now(),
            signer=identity.signer,
        )
        receipt = await self._queue.send(sealed, body)
        if receipt.want_full:
            self._pulse = self._pulse.owe()

    def _heartbeat(self, beat: Beat) -> Heartbeat:
        states = self._states()
        return Heartbeat(
            agent=self._identity.agent,
            environment=self._identity.environment,
            epoch=self._identity.epoch,
            seq=self._next_seq(),
            version=__version__,
            syncs=len(states),
            state=state_digest(states),
            words=count_words(states),
            last_event=self.last_event,
            full=states if beat is Beat.FULL else None,
        )

    def _message(self, data: Report | Heartbeat) -> Message:
        return Message(
            id=agent_message_id(data.agent, data.epoch, data.seq),
            source=f"//{self._identity.installation}/agents/{data.agent}",
            time=utc_now(),
            data=data,
        )

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq
