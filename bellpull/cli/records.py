"""What records of agents and observers have in common: names, patterns of repositories, how they are written."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from bellpull.cli.failure import FailureError
from bellpull.cli.new_files import OPEN

if TYPE_CHECKING:
    from bellpull.runtime.jose import Ed25519Signer
    from gateway.app.config import GatewayConfig

__all__ = ["check_record", "name_of", "pattern_of", "sealing_key", "write_record"]

_CREDENTIALS: Final = re.compile(
    r"(?:https?|git)://[^/]*@ | ssh://[^/@]*:[^/]*@ | [^/:@]+:[^/]*@", re.IGNORECASE | re.VERBOSE
)
"""How a repository begins that has a password or token in it; SSH's user is none."""


def name_of(value: str, option: str) -> str:
    """Return a name that is one, or end as a wrong use of `option`."""
    from bellpull.contract.text import Name, text

    try:
        return text(Name, value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def pattern_of(repository: str) -> str:
    """Return what events are compared with: a URL names the one repository it leads to."""
    from bellpull.contract.repository import Repository

    if _CREDENTIALS.match(repository.strip()):
        raise FailureError(
            "--repository has credentials in it, which would be written where others may read them; "
            "nothing was written",
            "leave them out; put them in the files username and password of a folder below the agent's secrets, "
            "and name it as secretRef in syncs.yaml",
        )
    if "://" not in repository:
        return repository.strip("/").removesuffix(".git").casefold()
    try:
        return Repository.from_url(repository).key
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--repository") from None


def sealing_key(settings: "GatewayConfig", config: Path) -> "Ed25519Signer":
    """Return the key with which the gateway seals.

    Raises:
        FailureError: it cannot be read.
    """
    from bellpull.runtime import jose
    from bellpull.runtime.config import read_secret

    try:
        return jose.load_private(read_secret(settings.seal.key, config.parent).reveal())
    except ValueError as error:
        raise FailureError(f"{config}: seal.key: {error}") from None


def check_record(model: Any, record: dict[str, Any]) -> None:
    """End if the record would be wrong."""
    from bellpull.runtime.config import parse

    _, problems = parse(model, record)
    if problems:
        raise FailureError(*(f"the record would be wrong: {problem}" for problem in problems))


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record, and the folder that it is in."""
    import yaml

    from bellpull.runtime.files import write_atomic

    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomic(path, yaml.safe_dump(record, sort_keys=False).encode(), mode=OPEN)
