"""How a verb writes its results."""

from enum import StrEnum

__all__ = ["Output"]


class Output(StrEnum):
    """For people or for programs."""

    TABLE = "table"
    JSON = "json"
