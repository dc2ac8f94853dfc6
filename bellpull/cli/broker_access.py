"""The way to RabbitMQ's management API, as options say it, for the verbs that set something up there.

The credential is said each time and no program keeps it: its password by a file or the environment, never on the
command line, where others may read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bellpull.cli.failure import FailureError

if TYPE_CHECKING:
    from gateway.adapters.management import Management

__all__ = ["Access", "Ca", "ManagementUrl", "PasswordFile", "Username"]

_PASSWORD: Final = "BELLPULL_BROKER_PASSWORD"  # noqa: S105 - the name of a variable

ManagementUrl = Annotated[
    str | None,
    typer.Option("--management", envvar="BELLPULL_BROKER_MANAGEMENT", help="RabbitMQ's management API: its URL."),
]
Username = Annotated[
    str | None, typer.Option("--username", envvar="BELLPULL_BROKER_USERNAME", help="Its user, an administrator.")
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help=f"The user's password  [default: environment {_PASSWORD}]")
]
Ca = Annotated[
    Path | None, typer.Option("--ca", help="PEM file of who signs its certificate; the system's if not said.")
]


class Access:
    """The way to the management API, as the options say it."""

    def __init__(self, url: str | None, username: str | None, password: Path | None, ca: Path | None) -> None:
        self._url = url
        self._username = username
        self._password = password
        self._ca = ca

    @property
    def is_said(self) -> bool:
        """Whether it was said where the API is."""
        return bool(self._url)

    def options(self) -> list[str]:
        """Return the options that say the same to another command; what the environment says, it knows itself."""
        said = (
            ("--management", self._url),
            ("--username", self._username),
            ("--password-file", self._password),
            ("--ca", self._ca),
        )
        return [word for name, value in said if value is not None for word in (name, str(value))]

    @contextmanager
    def open(self) -> "Iterator[Management]":
        """Yield a connection.

        Raises:
            FailureError: an option is missing or wrong, or RabbitMQ does not do what it is asked for.
        """
        from gateway.adapters.management import ManagementError

        try:
            with self._management() as management:
                yield management
        except ManagementError as error:
            raise FailureError(str(error)) from None

    def _management(self) -> "Management":
        from bellpull.runtime.config import SecretError, SecretRef, read_secret
        from gateway.adapters.management import Management

        if self._url is None or self._username is None:
            raise FailureError(
                "say where RabbitMQ's management API is, and as whom to log in: --management, --username"
            )
        ref = SecretRef(file=self._password) if self._password else SecretRef(env=_PASSWORD)
        try:
            password = read_secret(ref, Path())
        except SecretError as error:
            raise FailureError(f"--password-file: {error}") from None
        try:
            return Management(self._url, username=self._username, password=password, ca=self._ca)
        except ValueError as error:
            raise FailureError(f"--management {error}") from None
        except OSError as error:
            raise FailureError(f"--ca: {self._ca} cannot be used: {error.strerror or error}") from None
