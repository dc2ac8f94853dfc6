"""Configuration files: YAML in, frozen models out, and every mistake at once with its path.

Secrets are named, never written: `SecretRef` says where one is, `read_secret` fetches it. No error repeats a value,
since a value in the wrong place may be a secret. Everything here reads files: call it off the event loop.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from bellpull.contract.text import text
from bellpull.runtime.secret import Secret
from bellpull.runtime.yaml_files import Flaw, YamlError, read_documents

__all__ = [
    "ConfigError",
    "Problem",
    "Problems",
    "SecretError",
    "SecretRef",
    "Settings",
    "exposed",
    "kind",
    "load",
    "load_documents",
    "parse",
    "read_secret",
]

_MAX_SECRET: Final = 64 * 1024
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, and where in the file (`sources[2].secrets[0].file`; empty for the whole)."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class ConfigError(ValueError):
    """A file that cannot be used, with all its problems.

    Attributes:
        path: the file.
        problems: at least one.
    """

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> tuple[str, ...]:
        """Return `FILE: path: problem` for each problem."""
        return tuple(f"{self.path}: {problem}" for problem in self.problems)


class SecretError(ValueError):
    """A secret that could not be read; the message says which and why."""


class Settings(BaseModel):
    """What every model of a file has in common: frozen, unknown keys refused, values never in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class SecretRef(Settings):
    """Where a secret is: `{file: PATH}`, relative to the configuration file, or `{env: NAME}`."""

    file: Path | None = None
    env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_no_secret(cls, value: object) -> object:
        if not isinstance(value, dict | SecretRef):
            raise ValueError("says no place: write {file: PATH} or {env: NAME}, never the secret itself")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("needs exactly one of file and env")
        return self

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env is not None else str(self.file)


def kind(of: Any) -> AfterValidator:
    """Make a field one of the contract's kinds, as in `Annotated[Name, ...(Name)]`."""
    return AfterValidator(lambda value: text(of, value))


def load(model: type[_M], path: Path) -> _M:
    """Read the YAML file at `path` as `model`.

    Raises:
        ConfigError: with every problem of the file.
    """
    documents, problems = _documents(path)
    if len(documents) > 1:
        problems.append(Problem(path="", problem="has more than one document"))
    value, wrong = parse(model, documents[0] if documents else None)
    if value is None or problems:
        raise ConfigError(path, (*problems, *wrong))
    return value


def load_documents(path: Path) -> list[tuple[int, Any]]:
    """Read a YAML file of several documents: (number from 1, value) of each that is not empty.

    Raises:
        ConfigError: it cannot be read, or is no YAML.
    """
    documents, problems = _documents(path)
    if problems:
        raise ConfigError(path, problems)
    return [(number, value) for number, value in enumerate(documents, 1) if value is not None]


def parse(model: type[_M], value: object, *, where: str = "") -> tuple[_M | None, tuple[Problem, ...]]:
    """Read `value` as `model`: the model, or None and what is wrong, with paths that begin with `where`."""
    try:
        return model.model_validate({} if value is None else value), ()
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return None, tuple(_problem(detail, where) for detail in details if not _follows(detail, details))


def read_secret(ref: SecretRef, folder: Path) -> Secret:
    """Return the secret `ref` names; a path in it is relative to `folder`, a newline at the end no part of it.

    Raises:
        SecretError: it is not there, unreadable, empty or larger than 64 KiB.
    """
    value = _read_env(ref.env) if ref.env is not None else _read_file(folder / (ref.file or ""))
    if not value:
        raise SecretError(f"{ref} is empty")
    if len(value) > _MAX_SECRET:
        raise SecretError(f"{ref} is larger than 64 KiB: that is no secret")
    return Secret(value)


def exposed(ref: SecretRef, folder: Path) -> str | None:
    """Return a warning if others than the owner may read the file `ref` names, else None."""
    if ref.file is None:
        return None
    path = folder / ref.file
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return None
    return f"{path} may be read by others (mode {mode:04o}): chmod 600 {path}" if mode & 0o077 else None


class Problems:
    """What is wrong with one file, gathered while it is put to use, so that all of it is said at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[Problem] = []

    def add(self, where: str, problem: str) -> None:
        """Note that `where` has `problem`."""
        self._found.append(Problem(path=where, problem=problem))

    def secret(self, where: str, ref: SecretRef) -> Secret | None:
        """Return the secret `ref` names, or note why it cannot be had and return None."""
        try:
            return read_secret(ref, self._path.parent)
        except SecretError as error:
            self.add(where, str(error))
            return None

    def check(self) -> None:
        """Go on if nothing was noted.

        Raises:
            ConfigError: something was.
        """
        if self._found:
            raise ConfigError(self._path, self._found)


def _read_env(name: str) -> bytes:
    try:
        return os.environb[name.encode()]
    except KeyError:
        raise SecretError(f"environment variable {name} is not set") from None


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_SECRET + 2).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _documents(path: Path) -> tuple[list[Any], list[Problem]]:
    try:
        documents, flaws = read_documents(path)
    except OSError as error:
        raise ConfigError(path, [Problem(path="", problem=f"cannot be read: {_reason(error)}")]) from None
    except YamlError as error:
        raise ConfigError(path, [_problem_of(error.flaw)]) from None
    return documents, [_problem_of(flaw) for flaw in flaws]


def _problem_of(flaw: Flaw) -> Problem:
    return Problem(path="" if flaw.line is None else f"line {flaw.line}", problem=flaw.problem)


_PLAIN: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "model_type": "is not a mapping",
    "model_attributes_type": "is not a mapping",
    "dict_type": "is not a mapping",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "too_short": "needs at least one",
    "path_type": "is not a path",
    "invalid_key": "is a key that is no text (quote it)",
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "string_type": "is not a text (quote it?)",
}


def _follows(detail: ErrorDetails, others: Iterable[ErrorDetails]) -> bool:
    """Whether a list is too short only because what is in it is wrong."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(place)] == place for other in others if len(other["loc"]) > len(place)
    )


def _problem(detail: ErrorDetails, where: str) -> Problem:
    message = _PLAIN.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    return Problem(path=_join(where, detail["loc"]), problem=message)


def _join(where: str, location: tuple[int | str, ...]) -> str:
    path = where
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path and not path.endswith(" ") else part
    return path
