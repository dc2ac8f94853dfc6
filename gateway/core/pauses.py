"""How long the broker is left alone before it is tried again: ever longer, until it was of use."""

from typing import Final

__all__ = ["Pauses"]

_CEILING_S: Final = (0.25, 15.0)
_LEAST: Final = 0.5
"""Part of the ceiling that is waited at least."""


class Pauses:
    """What decides it; in seconds."""

    def __init__(self) -> None:
        self._ceiling_s = _CEILING_S[0]

    def was_of_use(self) -> None:
        """Begin with short ones again."""
        self._ceiling_s = _CEILING_S[0]

    def next_s(self, chance: float) -> float:
        """Return the next one; `chance` is from 0 to 1, so that several gateways do not come back together."""
        pause_s = self._ceiling_s * (_LEAST + (1 - _LEAST) * chance)
        self._ceiling_s = min(self._ceiling_s * 2, _CEILING_S[1])
        return pause_s
