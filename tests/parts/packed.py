"""Packages of npm's that tests read and nobody runs: packed by npm, which checks them, unpacked in the cache."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests import parts

__all__ = ["place", "unpack"]


def place(package: str) -> Path:
    """Return where `NAME@VERSION` is, or would be."""
    return parts.cache() / package.lstrip("@").replace("/", "-").replace("@", "-")


def unpack(package: str) -> None:
    """Get `NAME@VERSION`; does nothing where there is no npm, or it cannot get it."""
    npm = shutil.which("npm")
    if npm is None:
        return
    with tempfile.TemporaryDirectory(dir=parts.cache()) as work:
        pack = [npm, "pack", package, "--silent", "--ignore-scripts", "--pack-destination", work]
        if subprocess.run(pack, cwd=work, capture_output=True, check=False, timeout=120).returncode != 0:
            return
        (packed,) = Path(work).glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(work, filter="data")
        if not place(package).is_dir():
            Path(work, "package").rename(place(package))
