"""What is made in RabbitMQ for whom `bellpull enroll` admits: its user, its queue, and what both need there.

Through the management API where it is said where that is, else as definitions for a person to import. A user of this
name that the installation had before is removed first, so that nobody stays logged in with the old password; its
queue stays, bound to what the new record says and nothing else. Of the password RabbitMQ is told the salted hash.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bellpull.cli.broker_access import Access
from bellpull.cli.broker_difference import check_made, difference_from, write_definitions_of
from bellpull.cli.failure import FailureError
from bellpull.cli.new_files import OPEN, NewFile
from bellpull.contract.text import Name
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from bellpull.runtime.secret import Secret
from gateway.core.definitions import password_hash, to_definitions
from gateway.core.things import Binding, Thing, User
from gateway.core.topology import shared

__all__ = ["PASSWORD_FILE", "BrokerUser", "new_password", "salted"]

PASSWORD_FILE: Final = "broker-password"  # noqa: S105 - the name of a file
_CA_FILE: Final = "broker-ca.pem"
_SALT_BYTES: Final = 4


def new_password() -> bytes:
    """Return a password that nobody can guess."""
    return secrets.token_urlsafe(32).encode()


def salted(password: bytes) -> str:
    """Return what RabbitMQ keeps of a password."""
    return password_hash(password, secrets.token_bytes(_SALT_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUser:
    """Whom to make.

    Attributes:
        name: as whom it logs in.
        settings: how the gateway reaches RabbitMQ, and so does this user, but for name and password.
        folder: of the gateway's configuration, to which its paths are relative.
        tag: what the installation's users bear.
        own: what is this user's alone.
        access: the way to the management API.
    """

    name: Name
    settings: RabbitMQSettings
    folder: Path
    tag: str
    own: frozenset[Thing]
    access: Access
    password: Secret = field(default_factory=lambda: Secret(new_password()))

    def address(self) -> dict[str, str]:
        """Return where and as whom it logs in; files are in its folder."""
        ca = {"ca": _CA_FILE} if self.settings.ca else {}
        return {"url": self.settings.url, "username": self.name, "password": PASSWORD_FILE, **ca}

    def lines(self) -> str:
        """Return the lines of an agent's configuration that say how to reach RabbitMQ."""
        said = {**self.address(), "password": f"{{file: {PASSWORD_FILE}}}"}
        return "\n".join(["queue:", "  rabbitmq:", *(f"    {key}: {value}" for key, value in said.items()), ""])

    def files(self) -> Mapping[str, NewFile]:
        """Return what those lines name.

        Raises:
            OSError: the authorities' file cannot be read.
        """
        files = {PASSWORD_FILE: NewFile(self.password.reveal() + b"\n")}
        if self.settings.ca is not None:
            files[_CA_FILE] = NewFile((self.folder / self.settings.ca).read_bytes(), OPEN)
        return files

    def look(self) -> None:
        """See that RabbitMQ is there and nothing is in the way, if it was said where its API is.

        Raises:
            FailureError: it is not, or something is.
        """
        if self.access.is_said:
            with self.access.open() as management:
                difference_from(management.things(self._vhost), self._things, self._vhost, self.tag)

    def make(self, folder: Path) -> str:
        """Make it, or write it as definitions beside `folder`, which has its files; return what was done.

        Raises:
            FailureError: it was not made.
        """
        if not self.access.is_said:
            definitions = folder.with_name(f"{folder.name}-definitions.json")
            write_definitions_of(self._things, self._vhost, self._hashes(), definitions)
            return f"wrote {definitions}: bring it to the broker, and there: rabbitmqctl import_definitions FILE"
        try:
            self._make()
        except FailureError as error:
            begin_anew = f"{folder} was written, and nobody is enrolled: remove that folder, and do this again"
            raise FailureError(*error.lines, begin_anew) from None
        return f"made  user {self.name} and its queue in RabbitMQ's virtual host {self._vhost}"

    def _make(self) -> None:
        with self.access.open() as management:
            there = management.things(self._vhost)
            change = difference_from(there, self._things, self._vhost, self.tag)
            for thing in self._outdated(there, change.remove):
                management.remove(thing, self._vhost)
            management.make(to_definitions(self._things, self._vhost, self._hashes()))
            left = difference_from(management.things(self._vhost), self._things, self._vhost, self.tag)
        check_made(left.add | left.change)

    @property
    def _vhost(self) -> str:
        return self.settings.vhost

    @property
    def _things(self) -> frozenset[Thing]:
        return shared(self._vhost) | self.own

    def _hashes(self) -> dict[str, str]:
        return {self.name: salted(self.password.reveal())}

    def _outdated(self, there: frozenset[Thing], unwanted: frozenset[Thing]) -> Iterator[Thing]:
        """Yield what an earlier enrolment left: the user, and what its queue is not to hear any more."""
        yield from (thing for thing in there if isinstance(thing, User) and thing.name == self.name)
        queues = {thing.destination for thing in self.own if isinstance(thing, Binding)}
        yield from (thing for thing in unwanted if isinstance(thing, Binding) and thing.destination in queues)
