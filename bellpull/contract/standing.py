"""How an agent stands with its gateway: whom it is taken for, what it may hear and say, which keys are in use.

`GET /v1/agent` on the `agents` listener answers with it, to whoever has the agent's token. There is nothing secret
in it: a kid is the thumbprint of a public key. It is not sealed, so nobody acts on it against a configuration: an
agent learns from it for which of its Syncs no event can come, `bellpull check` what differs between the two sides.
"""

from dataclasses import dataclass
from typing import Final, Self

import orjson

from bellpull.contract.codec import read, write
from bellpull.contract.errors import ContractError
from bellpull.contract.patterns import is_pattern
from bellpull.contract.text import Name

__all__ = ["AGENT_PATH", "MAX_STANDING", "Standing"]

AGENT_PATH: Final = "/v1/agent"
MAX_STANDING: Final = 256 * 1024
"""Bytes."""
_MAX_PATTERNS: Final = 1_000
"""Each is compared with every Sync's repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an agent stands with its gateway, by its enrolment record and the gateway's configuration."""

    agent: Name
    """Whose token it was."""
    installation: Name
    """For which every seal has to be."""
    seal: str
    """The kid of the key by which events are sealed now."""
    keys: tuple[str, ...]
    """The kids of the report keys in the agent's record."""
    environments: tuple[Name, ...]
    """Where it may say it is."""
    repositories: tuple[str, ...]
    """Patterns on `host/path` of what it may hear, and report about."""

    def __post_init__(self) -> None:
        """Refuse what is no pattern, as it would silently fit nothing, and more than anybody writes."""
        if len(self.repositories) > _MAX_PATTERNS:
            raise ContractError("repositories", f"has more than {_MAX_PATTERNS} patterns")
        for index, pattern in enumerate(self.repositories):
            if not is_pattern(pattern):
                raise ContractError(f"repositories[{index}]", "is no pattern on host/path")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the answer.

        Raises:
            ContractError: it is none.
        """
        if len(body) > MAX_STANDING:
            raise ContractError("", f"is larger than {MAX_STANDING} bytes")
        try:
            value = orjson.loads(body)
        except ValueError:
            raise ContractError("", "is not JSON in UTF-8") from None
        return read(cls, value)

    def encode(self) -> bytes:
        """Return the answer as JSON."""
        return write(self)
