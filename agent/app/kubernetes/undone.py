"""Why one object is not made what it is to be."""

__all__ = ["MovedError", "UndoneError"]


class UndoneError(Exception):
    """It cannot be.

    Attributes:
        passes: whether that may change with nothing done by a person.
    """

    def __init__(self, problem: str, *, passes: bool) -> None:
        super().__init__(problem)
        self.passes = passes


class MovedError(Exception):
    """It was written meanwhile: look again."""
