"""Hears the gateway: keeps a connection open, and turns what comes into offers to the inbox.

The cursor moves only after the inbox has what a frame says, and is on disk within a second; losing it costs a few
events heard twice. After every reconnect the agent looks at everything again, at most once in five minutes, so
that no loss has to be detected to be repaired (R1). When to come back, and by which way, is
`agent.core.reconnect`'s to say.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final, assert_never

from agent.adapters.state import StateFolder
from agent.core.hear import ACKS, Ack, Hearing, hear, shows_nothing
from agent.core.reconnect import Pauses
from agent.ports.queue import AccessRefusedError, Connected, Queue, QueueError
from bellpull.contract.cursor import Cursor
from bellpull.contract.message import Message
from bellpull.contract.seal import PinnedKey
from bellpull.contract.stream import Frame, MessageFrame, ResetFrame, TickFrame
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["Listener"]

_log = logger(__name__)
_RESYNC_EVERY: Final = timedelta(minutes=5)
_KEEP_EVERY_S: Final = 1.0
_KEEP_FIRST_S: Final = 0.1
"""Without any place on disk, all that was announced while the agent was away is heard of only by looking."""


class Listener:
    """Keeps listening until cancelled.

    Args:
        queue: what to listen on.
        state: where the cursor is kept.
        installation: what events must be sealed for.
        agent: whose ticks show that the way is open.
        keys: gives the pinned keys as of now.
        take: gets every event, in order, and must not wait; when it returns the event is recorded.
        resync: is called when something may have been missed, with the reason.
        connected: is called when the gateway is heard again.
        heard: is called with the time for every frame that shows that the way stood then.
        lost: is called when a connection ended, none could be had, or what came shows nothing, with the reason.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        state: StateFolder,
        installation: str,
        agent: str,
        keys: Callable[[], Mapping[str, PinnedKey]],
        take: Callable[[Message, datetime], None],
        resync: Callable[[str], None],
        connected: Callable[[], None],
        heard: Callable[[datetime], None],
        lost: Callable[[str], None],
    ) -> None:
        self._queue = queue
        self._state = state
        self._installation = installation
        self._agent = agent
        self._keys = keys
        self._take = take
        self._resync = resync
        self._connected = connected
        self._heard = heard
        self._lost = lost
        self._cursor: Cursor | None = None
        self._saved: Cursor | None = None
        self._connected_before = False
        self._owed = ""
        """Why everything is to be looked at."""
        self._resynced: datetime | None = None

    async def run(self) -> None:
        """Listen, for ever."""
        self._cursor = self._saved = await asyncio.to_thread(self._state.cursor)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every_second())
            await self._listen()

    async def _listen(self) -> None:
        clock = asyncio.get_running_loop().time
        pauses = Pauses(lost=clock())
        while True:
            refused, first_heard = False, None
            try:
                async with aclosing(self._queue.listen(self._cursor)) as frames:
                    async for frame in frames:
                        if first_heard is None:
                            first_heard = clock()
                            self._on_connected()
                        await self._on_frame(frame)
                self._lost("the gateway ended the connection")
                _log.info("the gateway ended the stream")
            except QueueError as error:
                refused = isinstance(error, AccessRefusedError)
                self._on_lost(error, refused=refused)
            pauses = pauses.after(clock(), heard=first_heard)
            await asyncio.sleep(pauses.pause_s(clock(), random.random(), refused=refused))

    def _on_lost(self, error: QueueError, *, refused: bool) -> None:
        self._lost(str(error))
        event = "the gateway does not let this agent in" if refused else "the gateway cannot be heard"
        _log.warning(event, error=str(error))

    def _on_connected(self) -> None:
        _log.info("hearing the gateway", cursor=str(self._cursor) if self._cursor else None)
        self._connected()
        if self._connected_before:
            self._owed = "the stream was interrupted"
        self._connected_before = True
        self._resync_if_due(utc_now())

    def _resync_if_due(self, now: datetime) -> None:
        """Look at everything, as something may have been missed; one that comes too soon is put off, not left out."""
        due = self._resynced is None or now - self._resynced >= _RESYNC_EVERY
        if self._owed and due:
            reason, self._owed = self._owed, ""
            self._resynced = now
            self._resync(reason)

    async def _on_frame(self, frame: Frame | Connected) -> None:
        match frame:
            case Connected():
                return
            case MessageFrame():
                ack = self._on_message(frame)
                await self._queue.settle(frame, ack)
                if ack is Ack.LEAVE:
                    return
            case ResetFrame():
                self._heard(utc_now())
                self._resync("the gateway's journal does not know where this agent stood")
            case TickFrame():
                self._heard(utc_now())
            case _:
                assert_never(frame)
        self._cursor = frame.cursor

    def _on_message(self, frame: MessageFrame) -> Ack:
        """Return what becomes of a message. What is refused is logged: not every way has dead letters."""
        now = utc_now()
        heard = hear(frame.seal, frame.body, installation=self._installation, keys=self._keys(), now=now)
        ack = ACKS[heard.hearing]
        if ack is Ack.DEAD_LETTER:
            _log.error("an event was refused", cursor=str(frame.cursor), why=heard.why, kid=heard.kid)
            if heard.hearing is Hearing.KEY_UNKNOWN:
                self._owed = "an event was sealed with a key that is not pinned here"
                self._resync_if_due(now)
            return ack
        if nothing := shows_nothing(heard, agent=self._agent, now=now):
            self._lost(nothing)
        else:
            self._heard(now)
        if heard.message is not None:
            self._take(heard.message, now)
        return ack

    async def _every_second(self) -> None:
        try:
            while True:
                await asyncio.sleep(_KEEP_EVERY_S if self._saved else _KEEP_FIRST_S)
                self._resync_if_due(utc_now())
                await self._save()
        finally:
            await self._save()

    async def _save(self) -> None:
        cursor = self._cursor
        if cursor is None or cursor == self._saved:
            return
        try:
            await self._state.save_cursor(cursor)
            self._saved = cursor
        except OSError as error:
            _log.warning("the place in the stream cannot be kept; a restart hears more again", error=str(error))
