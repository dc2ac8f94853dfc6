"""Caddy in front of a listener: a process of its own with a configuration, folder and port of the test's own."""

import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import parts
from tests.parts.front import PORT, Front

__all__ = ["GET", "NAME", "PORT", "Caddy", "caddy_program", "find", "install"]

NAME: Final = "caddy"
GET: Final = "apt-get install caddy"


def find() -> Path | None:
    """Return the program."""
    found = shutil.which("caddy")
    return Path(found) if found else None


def install() -> None:
    """Get it from Debian; its service is not started."""
    parts.apt_install("caddy")


class Caddy(Front):
    """Runs while its context lasts, on a free port of loopback.

    Args:
        program: what `caddy_program` found.
        folder: where its files go; made if need be.
        caddyfile: its configuration, whose sites are at `@port@`.
    """

    def __init__(self, program: Path, folder: Path, caddyfile: str) -> None:
        command = (str(program), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
        own = {"HOME": folder, "XDG_DATA_HOME": folder / "data", "XDG_CONFIG_HOME": folder / "config"}
        environment = {name: str(path) for name, path in own.items()}
        super().__init__(command, folder, "Caddyfile", caddyfile, environment)
        self.authority = folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        """Whom to trust where it issues its certificates itself."""


@pytest.fixture(scope="session")
def caddy_program() -> Path:
    """The program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])
