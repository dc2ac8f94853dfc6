"""When a request is sent again, and after which pause: what passes by itself within a request's time (429, 5xx).

An API server that is stopping or full says how long to wait. A 500 that says nothing of that is an answer: a schema
that does not fit is one, and a webhook that is down is for the next run.
"""

from typing import Final

from agent.core.kubernetes.requests import Answer, Request

__all__ = ["MAX_ATTEMPTS", "pause_s"]

MAX_ATTEMPTS: Final = 8
_MAX_SILENT: Final = 4
"""Attempts at a server that does not answer at all: the next run tries again."""
_FIRST_S: Final = 0.1
_LONGEST_S: Final = 5.0
_LATER: Final = frozenset({429, 502, 503, 504})
"""502 is a load balancer's, whose API server is starting anew."""


def pause_s(request: Request, answer: Answer | None, attempt: int, chance: float) -> float | None:
    """Return the pause before the next attempt, None where this one stands.

    Args:
        request: what was sent.
        answer: what came; none where the connection broke, and nobody knows whether it was done.
        attempt: how many were made, from 1.
        chance: from 0 to 1; spreads those who wait together.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    if answer is None:
        return _backoff(attempt, chance) if request.repeatable and attempt < _MAX_SILENT else None
    if answer.retry_after_s is not None and (answer.status in _LATER or answer.status >= 500):
        return answer.retry_after_s * (1 + chance / 4)
    refused_untouched = answer.status == 429
    if answer.status in _LATER and (request.repeatable or refused_untouched):
        return _backoff(attempt, chance)
    return None


def _backoff(attempt: int, chance: float) -> float:
    return float(min(_LONGEST_S, _FIRST_S * 2 ** (attempt - 1))) * (0.5 + chance / 2)
