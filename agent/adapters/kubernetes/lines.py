"""The events of a watch as they come: JSON, a line each, in pieces of any size."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp
import orjson

from agent.core.kubernetes.object import Object

__all__ = ["Lines", "events"]

_LONGEST: Final = 16 << 20
"""An object is three megabytes at most."""


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Object]:
    """Yield each event of an answer.

    Raises:
        ValueError: a line is no JSON object, or longer than an object can be.
    """
    lines = Lines()
    async for piece in response.content.iter_any():
        for line in lines.feed(piece):
            event = orjson.loads(line)
            if not isinstance(event, dict):
                raise ValueError("an event is no object")  # noqa: TRY004 - what is wrong is what was sent
            yield event


class Lines:
    """Puts lines together; what is behind the last line's end waits for more."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._length = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the lines that this piece ends.

        Raises:
            ValueError: a line is too long.
        """
        *whole, rest = piece.split(b"\n")
        for each in whole:
            line = b"".join((*self._rest, each))
            self._rest, self._length = [], 0
            if line:
                yield line
        self._length += len(rest)
        if self._length > _LONGEST:
            raise ValueError("a line is too long")
        if rest:
            self._rest.append(rest)
