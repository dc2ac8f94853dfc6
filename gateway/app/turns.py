"""When agents' messages are worked on, so that no agent's hold up deliveries or other agents (R41).

One message of an agent is in work at a time. Large ones are read into values in threads, two at once overall, and
those share the interpreter with deliveries; so an agent whose last large one took long is told to come again after
four times as long. An honest agent sends one message after the other, and large ones seldom; it tries again.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from bellpull.contract.text import Name

__all__ = ["LARGE", "TooOften", "Turns"]

_T = TypeVar("_T")
LARGE: Final = 16 * 1024
"""Messages beyond this are read into values off the loop."""
_AT_ONCE: Final = 2
_PAUSE: Final = 4
"""How long an agent's large messages rest, in times of what the last one took."""


class TooOften(Exception):  # noqa: N818 - it says what happened
    """The agent has said too much at once.

    Args:
        again_s: seconds after which it may come again.
    """

    def __init__(self, again_s: float) -> None:
        super().__init__("too much is said at once, come again")
        self.again_s = again_s


class Turns:
    """Whose turn it is; one for all requests of a listener."""

    def __init__(self) -> None:
        self._in_work: set[Name] = set()
        self._rest_until: dict[Name, float] = {}
        self._large = asyncio.Semaphore(_AT_ONCE)

    @contextmanager
    def of(self, agent: Name) -> Iterator[None]:
        """Work on one message of `agent` in this context.

        Raises:
            TooOften: another one is being worked on.
        """
        if agent in self._in_work:
            raise TooOften(1.0)
        self._in_work.add(agent)
        try:
            yield
        finally:
            self._in_work.discard(agent)

    async def run(self, agent: Name, size: int, job: Callable[[], _T]) -> _T:
        """Run `job`, which works on a message of `size` bytes: in a thread, when it is large.

        Raises:
            TooOften: its last one took so much that it has to rest.
        """
        if size <= LARGE:
            return job()
        clock = asyncio.get_running_loop().time
        if (rest_s := self._rest_until.get(agent, 0.0) - clock()) > 0:
            raise TooOften(rest_s)
        async with self._large:
            begun = clock()
            try:
                return await asyncio.to_thread(job)
            finally:
                self._rest_until[agent] = clock() + _PAUSE * (clock() - begun)
