"""Counts requests: the API server writes each to its audit log before it is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Asked", "Audit"]


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
        """Return a place in the log: now."""
        return self._path.stat().st_size if self._path.exists() else 0

    def since(self, mark: int, wanted: Callable[[Asked], bool] = lambda _: True) -> list[Asked]:
        """Return the requests that were answered since `mark`, in that order."""
        with self._path.open("rb") as log:
            log.seek(mark)
            asked = [_read(orjson.loads(line)) for line in log if line.endswith(b"\n")]
        return [each for each in asked if wanted(each)]


def _read(event: dict[str, Any]) -> Asked:
    user = event.get("impersonatedUser") or event["user"]
    return Asked(
        user=user["username"],
        verb=event["verb"],
        path=event["requestURI"],
        status=event.get("responseStatus", {}).get("code", 0),
        agent=event.get("userAgent", ""),
    )
