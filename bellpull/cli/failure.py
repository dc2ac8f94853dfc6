"""How a verb ends that could not do its work: lines for a person, and an exit code."""

import sys
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
        FailureError: instead of ConfigError, Fatal, OSError and ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in _OURS:
            raise
        raise FailureError(f"{error.name} is not installed: pip install 'bellpull[{extra}]'") from None
    except OSError as error:
        raise FailureError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except _mendable() as error:
        lines = getattr(error, "lines", None)  # a ConfigError has several, a Fatal an exit code
        raise FailureError(*(lines() if lines else [str(error)]), code=getattr(error, "code", 1)) from None


def _mendable() -> tuple[type[Exception], ...]:
    """Return what the programs raise for people; asked for only once something was raised."""
    from bellpull.runtime.config import ConfigError

    service = sys.modules.get("bellpull.runtime.service")
    return (ConfigError, service.Fatal) if service else (ConfigError,)
