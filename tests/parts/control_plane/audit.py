"""Counts requests: the API server writes each to its audit log before it is answered."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

__all__ = ["Asked", "Audit"]

_LONGEST_LINE: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was answered.

    Attributes:
        user: who asked; whom they impersonated, if anybody.
        verb: such as `patch` or `watch`.
        path: with the query.
        status: of the answer.
        agent: what the client calls itself.
    """

    user: str
    verb: str
    path: str
    status: int
    agent: str


class Audit:
    """Reads the log of one API server. `mark` and `since` block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """Return a place in the log: now, after the last whole line."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            begin = log.seek(max(0, end - _LONGEST_LINE))
            return begin + log.read(end - begin).rfind(b"\n") + 1

    def since(self, mark: int, wanted: Callable[[Asked], bool] = lambda _: True) -> list[Asked]:
        """Return the requests that were answered since `mark`, in that order; a watch when its answer began."""
        with self._path.open("rb") as log:
            log.seek(mark)
            events = [orjson.loads(line) for line in log if line.endswith(b"\n")]
        asked = [_read(event) for event in events if not _is_end_of_watch(event)]
        return [each for each in asked if wanted(each)]


def _is_end_of_watch(event: dict[str, Any]) -> bool:
    is_end = event["verb"] == "watch" and event["stage"] == "ResponseComplete"
    return is_end and bool(event.get("responseStatus", {}).get("code") == 200)


def _read(event: dict[str, Any]) -> Asked:
    user = event.get("impersonatedUser") or event["user"]
    return Asked(
        user=user["username"],
        verb=event["verb"],
        path=event["requestURI"],
        status=event.get("responseStatus", {}).get("code", 0),
        agent=event.get("userAgent", ""),
    )
