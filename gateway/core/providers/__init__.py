"""One pure module for each Git provider; `PROVIDERS` is the list."""

from collections.abc import Mapping
from typing import Final

from gateway.core.providers import generic, github
from gateway.core.providers.provider import Provider

__all__ = ["PROVIDERS"]

PROVIDERS: Final[Mapping[str, Provider]] = {
    "generic": generic,
    "github": github,
}
