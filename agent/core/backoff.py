"""How long to leave something alone after it went wrong. Chance is an argument, from 0 to 1."""

from datetime import timedelta
from typing import Final

__all__ = ["backoff", "jitter", "lag_delay"]

_FIRST: Final = timedelta(seconds=1)
_LEAST: Final = 0.1
"""Part of the ceiling that is waited at least: chance alone may not make a hot loop."""
_LAG_FIRST: Final = timedelta(milliseconds=50)
_LAG_MOST: Final = timedelta(seconds=5)
_SPREAD: Final = 0.2
_DOUBLINGS: Final = 20
"""Beyond these every ceiling has long been reached; keeps the numbers small."""


def backoff(failures: int, most: timedelta, chance: float) -> timedelta:
    """Return the pause after the `failures`-th failure in a row (from 1): full jitter below a doubling ceiling.

    The ceiling grows from one second to `most`.
    """
    ceiling = min(most, _FIRST * (1 << min(failures - 1, _DOUBLINGS)))
    return ceiling * max(chance, _LEAST)


def lag_delay(tries: int) -> timedelta:
    """Return the pause after Git did not show what was announced for the `tries`-th time (from 1): 50 ms to 5 s."""
    return min(_LAG_MOST, _LAG_FIRST * (1 << min(tries - 1, _DOUBLINGS)))


def jitter(interval: timedelta, chance: float) -> timedelta:
    """Return `interval`, by up to a fifth shorter or longer."""
    return interval * (1 - _SPREAD + 2 * _SPREAD * chance)
