"""Records of observers: which other software may hear what.

One YAML file an observer, written by `bellpull enroll --observer`, in a folder of their own: nothing that looks for
agents finds one. Nothing in it is secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from bellpull.contract.text import Name
from bellpull.runtime.config import ConfigError, Problem, Settings, kind, load
from gateway.app.config import Patterns
from gateway.core.observing import Interest, Kind, exactly_bound_to

__all__ = ["Observer", "Observers", "load_observers"]


class Observer(Settings):
    """One observer's record."""

    observer: Annotated[Name, kind(Name)]
    """The observer's name, and its user's in RabbitMQ."""
    repositories: Patterns
    """What it hears of: `HOST/PATH`, `HOST/OWNER/**`, `HOST/**`, `*/PATH`, `**`; others cannot be granted exactly."""
    types: Annotated[tuple[Kind, ...], Field(min_length=1)] = tuple(Kind)
    """What it hears: `pushes`, `outcomes`, or both."""

    @model_validator(mode="after")
    def _can_be_bound(self) -> Self:
        for index, pattern in enumerate(self.repositories):
            try:
                exactly_bound_to(pattern)
            except ValueError as error:
                raise ValueError(f"repositories[{index}]: {error}") from None
        return self

    @property
    def interest(self) -> Interest:
        """What it may hear."""
        return Interest(repositories=self.repositories, kinds=self.types)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """All records, as of one moment, and what is wrong with those that were left out."""

    records: Mapping[Name, Observer]
    problems: tuple[Problem, ...] = ()


def load_observers(folder: Path) -> Observers:
    """Read the records of all `*.yaml` files in `folder`; a folder that is not there has none. Blocks.

    A record that is wrong is left out; two records of one observer are both wrong.
    """
    records: dict[Name, Observer] = {}
    twice: set[Name] = set()
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            record = load(Observer, path)
        except ConfigError as error:
            problems += [Problem(path=path.name, problem=str(each)) for each in error.problems]
            continue
        if record.observer in records:
            problems.append(Problem(path=path.name, problem=f"observer: {record.observer} has a record already"))
            twice.add(record.observer)
        records[record.observer] = record
    kept = {name: record for name, record in records.items() if name not in twice}
    return Observers(records=kept, problems=tuple(problems))
