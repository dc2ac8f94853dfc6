"""Words of agents as rows of the state, and back: each once, by what it says."""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import apsw

from bellpull.contract.codec import read, write
from bellpull.contract.report import Heartbeat, Report
from gateway.adapters.moment import microseconds
from gateway.adapters.reading import Found, LeftOut, json_of
from gateway.core.answer import Answer, answer_of, answers_in

__all__ = ["BEFORE_ALL", "PAGE", "PUT", "answers", "of_heartbeat", "of_report"]

PAGE: Final = 500
"""Rows of one read."""
BEFORE_ALL: Final = -(2**63)
"""No place is below it, not even a damaged one."""
PUT: Final = """INSERT INTO words (agent, identity, repository, ref, received, answer, report)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_WORDS: Final = """SELECT place AS number, answer FROM words WHERE repository = ? AND ref IN (?, '') AND received >= ?
    AND place > ? ORDER BY place LIMIT ?"""


def of_report(report: Report, *, issued: datetime, received: datetime) -> tuple[Any, ...]:
    """Return the row of a report's word; the second value is what tells it from the agent's others."""
    identity = f"report/{report.epoch}/{report.seq}"
    return _row(answer_of(report, issued=issued, received=received), identity, received, write(report))


def of_heartbeat(
    heartbeat: Heartbeat, *, issued: datetime, received: datetime
) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the rows of the words that a full heartbeat carries, and the heartbeat as it is kept; takes long."""
    found = zip(answers_in(heartbeat, issued=issued, received=received), _identities(heartbeat), strict=True)
    return [_row(answer, identity, received, None) for answer, identity in found], write(heartbeat)


def answers(
    left_out: LeftOut, repository: str, ref: str, since: int, place: int
) -> Callable[[apsw.Connection], Found[Answer]]:
    """Return a job that reads a page of the words for a ref beyond `place`, those stored at or after `since`."""
    return left_out.reading("words", _WORDS, (repository, ref, since, place, PAGE), _answer)


def _answer(values: Any) -> Answer:
    _, answer = values
    return read(Answer, json_of(answer, "answer"))


def _row(answer: Answer, identity: str, received: datetime, report: bytes | None) -> tuple[Any, ...]:
    when = microseconds(received)
    return answer.agent, identity, answer.repository, answer.ref or "", when, write(answer), report


def _identities(heartbeat: Heartbeat) -> list[str]:
    """Return what tells each word of a history from others: all that it says, with the agent's own time of it."""
    return [
        f"word/{state.sync}/{sha256(write(outcome)).hexdigest()}"
        for state in heartbeat.full or ()
        for outcome in state.outcomes
    ]
