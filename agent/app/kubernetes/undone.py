"""Why one object is not made what it is to be."""

from agent.core.kubernetes.answers import RefusalKind
from agent.core.kubernetes.policy import Awaits

__all__ = ["MovedError", "UndoneError"]


class UndoneError(Exception):
    """It cannot be.

    Attributes:
        passes: whether that may change with nothing done by a person.
        awaits: what has to come first, or to go.
        refused: what the API server answered, if that is why.
    """

    def __init__(
        self, problem: str, *, passes: bool, awaits: Awaits | None = None, refused: RefusalKind | None = None
    ) -> None:
        super().__init__(problem)
        self.passes = passes
        self.awaits = awaits
        self.refused = refused


class MovedError(Exception):
    """It was written meanwhile: look again."""
