"""Where a reader of the stream stands (R14)."""

import re
from dataclasses import dataclass
from typing import Final, Self

from bellpull.contract.errors import ContractError

__all__ = ["Cursor"]

_CURSOR: Final = re.compile(r"(?P<epoch>[a-z0-9]{8,32})\.(?P<seq>0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last row examined (`seq`) and the word the journal had at its last start (`epoch`)."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read `<epoch>.<seq>`.

        Raises:
            ContractError: it is none.
        """
        match = _CURSOR.fullmatch(value)
        if match is None:
            raise ContractError("", "is not a cursor")
        return cls(epoch=match["epoch"], seq=int(match["seq"]))

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"
