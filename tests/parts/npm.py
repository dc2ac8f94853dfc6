"""What the observer in Node.js needs, as its lock file says it; nothing of it is run when it is installed."""

import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from tests import parts

__all__ = ["GET", "NAME", "find", "install", "node_modules"]

NAME: Final = "libraries of the Node.js observer"
GET: Final = "apt-get install nodejs npm (at least Node.js 20); the tests then run npm ci by themselves"
_EXAMPLE: Final = Path(__file__).parents[2] / "docs/examples/observer"
_OLDEST: Final = 20


def find() -> Path | None:
    """Return the folder of the packages, if there is a Node.js that can run them."""
    folder = _place() / "node_modules"
    return folder if folder.is_dir() and _node_is_new_enough() else None


def install() -> None:
    """Get them by npm, which checks each against the lock file's hash."""
    npm = shutil.which("npm")
    if npm is None or not _node_is_new_enough():
        return
    with tempfile.TemporaryDirectory(dir=parts.cache()) as work:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(_EXAMPLE / name, work)
        got = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(got, cwd=work, capture_output=True, check=False, timeout=300).returncode != 0:
            return
        _place().mkdir(exist_ok=True)
        if not (_place() / "node_modules").is_dir():
            Path(work, "node_modules").rename(_place() / "node_modules")


def _node_is_new_enough() -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    return int(said.strip().lstrip("v").partition(".")[0] or 0) >= _OLDEST


def _place() -> Path:
    return parts.cache() / f"observer-{sha256((_EXAMPLE / 'package-lock.json').read_bytes()).hexdigest()[:12]}"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The packages; a test is skipped without them."""
    return parts.need(sys.modules[__name__])
