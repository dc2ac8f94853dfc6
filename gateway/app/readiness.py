"""Whether the gateway can do its work, and what a person should see to: what `/readyz` answers.

Unready (503) is a gateway that stops, is drained, or can take no push: a balancer should send nothing. Degraded is
one that needs a person; it is ready (200) all the same as long as it takes pushes.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.adapters.damage import notes
from gateway.app.drain import Drain
from gateway.ports.journal import Journal

__all__ = ["Readiness", "State"]

_ADVICE: Final = "see what is missing, then run: bellpull gateway ack-damage"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The answer.

    Attributes:
        word: `ready`, `degraded`, `draining`, `drained` or `stopping`.
        takes_pushes: whether a balancer should send some.
        problems: what is wrong, and what is waited for.
    """

    word: str
    takes_pushes: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Looks at the parts.

    Attributes:
        journal: has to take writes.
        data: the gateway's folder, with the notes of damage.
        stopping: whether the gateway is on its way out.
        standing: what is wrong for as long as this process runs.
        passing: returns what is wrong now, and keeps no push from being taken.
        drain: whether the gateway is taken away, where it can be.
    """

    journal: Journal
    data: Path
    stopping: Callable[[], bool]
    standing: Sequence[str] = field(default=())
    passing: Callable[[], Iterable[str]] = field(default=tuple)
    drain: Drain | None = None

    async def look(self) -> State:
        """Return how it is now."""
        if self.stopping():
            return State(word="stopping", takes_pushes=False)
        if self.drain is not None and self.drain.is_begun:
            left, done = await self.drain.look()
            problems = ([f"{left} events wait for RabbitMQ"] if left else []) + [*self.passing()]
            return State(word="drained" if done else "draining", takes_pushes=False, problems=tuple(problems))
        writable = await self.journal.writable()
        full = self.journal.problem()
        problems = [full] if full is not None else [] if writable else ["the journal cannot write"]
        problems += [*await asyncio.to_thread(_damage, self.data), *self.standing, *self.passing()]
        word = "degraded" if problems else "ready"
        return State(word=word, takes_pushes=writable, problems=tuple(problems))


def _damage(folder: Path) -> list[str]:
    try:
        return [f"{line}: {_ADVICE}" for line in notes(folder)]
    except OSError as error:
        return [f"{folder}: the notes of damage cannot be read: {error.strerror}"]
