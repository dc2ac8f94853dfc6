"""Enrolment records: which agents there are, what each may hear and say, and how it is known.

One YAML file an agent, written by `bellpull enroll`. Nothing in it is secret: the token's hash, public keys.
"""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, PrivateAttr, model_validator

from bellpull.contract.seal import PinnedKey
from bellpull.contract.text import Name
from bellpull.runtime.config import ConfigError, Problem, Settings, kind, load
from bellpull.runtime.jose import load_public
from gateway.app.config import Patterns
from gateway.core.audience import Audience

__all__ = ["Enrolment", "Enrolments", "TokenHash", "load_enrolments"]

_TOKEN_PREFIX: Final = "bpa_"  # noqa: S105 - what tokens begin with


class TokenHash(Settings):
    """The agent's token, as a hash: it is 256 random bits, which need no slow one (R17)."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the whole token, in hexadecimal."""


class Enrolment(Settings):
    """One agent's record."""

    agent: Annotated[Name, kind(Name)]
    """The agent's name, which its token and its reports have to bear."""
    environments: Annotated[tuple[Annotated[Name, kind(Name)], ...], Field(min_length=1)]
    """Where it may say it is."""
    repositories: Patterns
    """What it may hear and report about."""
    token: TokenHash
    keys: Annotated[tuple[Mapping[str, Any], ...], Field(min_length=1)]
    """Its public report keys (JWK); several while they are being rotated."""

    _pinned: dict[str, PinnedKey] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _read_keys(self) -> Self:
        for index, jwk in enumerate(self.keys):
            try:
                kid, key = load_public(jwk)
            except ValueError as error:
                raise ValueError(f"keys[{index}] {error}") from None
            self._pinned[kid] = key
        return self

    @property
    def pinned(self) -> Mapping[str, PinnedKey]:
        """The report keys by kid."""
        return self._pinned


class Enrolments:
    """All records, as of one moment, and what is wrong with those that were left out."""

    def __init__(self, records: Mapping[Name, Enrolment], problems: Sequence[Problem] = ()) -> None:
        self.records = records
        self.audience = Audience({agent: record.repositories for agent, record in records.items()})
        self.problems = tuple(problems)

    def by_token(self, token: bytes) -> Enrolment | None:
        """Return the record of the agent whose token this is, in constant time for a given name."""
        name = token.decode("utf-8", "replace").removeprefix(_TOKEN_PREFIX).partition("_")[0]
        record = self.records.get(Name(name))
        expected = record.token.sha256 if record else ""
        return record if hmac.compare_digest(sha256(token).hexdigest(), expected) else None


def load_enrolments(folder: Path) -> Enrolments:
    """Read the records of all `*.yaml` files in `folder`; a folder that is not there has none. Blocks.

    A record that is wrong admits nobody and stops nobody else: what one file says must neither keep the gateway from
    starting nor keep a token alive that another file no longer has. Two records of one agent are both wrong.
    """
    records: dict[Name, Enrolment] = {}
    twice: set[Name] = set()
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            record = load(Enrolment, path)
        except ConfigError as error:
            problems += [Problem(path=path.name, problem=str(each)) for each in error.problems]
            continue
        if record.agent in records:
            problems.append(Problem(path=path.name, problem=f"agent: {record.agent} has a record already"))
            twice.add(record.agent)
        records[record.agent] = record
    return Enrolments({agent: record for agent, record in records.items() if agent not in twice}, problems)
