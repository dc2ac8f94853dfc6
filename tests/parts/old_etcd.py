"""An etcd older than 3.5.8, Debian 12's: an API server that runs on it cannot stream a list, as in old clusters."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import parts

__all__ = ["GET", "NAME", "find", "install", "old_etcd"]

NAME: Final = "etcd 3.4"
GET: Final = "apt-get install etcd-server, on Debian 12"
_STREAMS: Final = (3, 5, 8)
"""The first that tells an API server how far a watch is."""


def find() -> Path | None:
    """Return the program, if the one in the path is old enough."""
    program = shutil.which("etcd")
    return Path(program) if program is not None and _is_old(program) else None


def install() -> None:
    """Get it from Debian; its service is not started."""
    if shutil.which("etcd") is None:
        parts.apt_install("etcd-server")


def _is_old(program: str) -> bool:
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", asked.stdout)
    return found is not None and tuple(map(int, found.groups())) < _STREAMS


@pytest.fixture(scope="session")
def old_etcd() -> Path:
    """The program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])
