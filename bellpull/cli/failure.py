"""How a verb ends that could not do its work: lines for a person, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["FailureError", "explained"]

_OURS: Final = ("bellpull", "gateway", "agent")


class FailureError(Exception):
    """Ends the command with lines on standard error and an exit code."""

    def __init__(self, *lines: str, code: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


@contextmanager
def explained(*, extra: str = "all") -> Iterator[None]:
    """Turn what a person can mend into lines: a bad configuration, files in the way, libraries that are not there.

    Args:
        extra: the extra of the distribution that brings the libraries.

    Raises:
        FailureError: instead of ConfigError, OSError and ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in _OURS:
            raise
        raise FailureError(f"{error.name} is not installed: pip install 'bellpull[{extra}]'") from None
    except OSError as error:
        raise FailureError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except ValueError as error:
        from bellpull.runtime.config import ConfigError

        if not isinstance(error, ConfigError):
            raise
        raise FailureError(*error.lines()) from None
