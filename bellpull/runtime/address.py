"""Where to listen, as it is written in a file: `HOST:PORT`."""

import re
from dataclasses import dataclass
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["Address"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen: a host (name or address) and a port, 0 for any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read `HOST:PORT`; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is none.
        """
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", value)
        if match is None or int(match[3]) > 65535:
            raise ValueError("is not HOST:PORT (such as 127.0.0.1:8080 or [::1]:8080)")
        return cls(host=match[1] or match[2], port=int(match[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a model have a field of this type, written as `HOST:PORT`."""
        return core_schema.no_info_plain_validator_function(cls._read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say how it is written."""
        return {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"}

    @classmethod
    def _read(cls, value: object) -> "Address":
        return value if isinstance(value, Address) else cls.parse(str(value))
