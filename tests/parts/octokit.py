"""GitHub's deliveries as the makers of its clients captured them: the npm package `@octokit/webhooks-examples` (MIT).

Each folder (GitHub itself, and versions of its server) has an `index.json`: events with their examples.
"""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from tests import parts

__all__ = ["GET", "NAME", "deliveries", "find", "install"]

_PACKAGE: Final = "@octokit/webhooks-examples@7.6.1"
NAME: Final = "captured deliveries of GitHub"
GET: Final = f"npm pack {_PACKAGE} (apt-get install npm; the tests then get it by themselves)"


def find() -> Path | None:
    """Return the folder of the unpacked package in the cache."""
    folder = _place()
    return folder if folder.is_dir() else None


def install() -> None:
    """Get it by npm, which checks it against its registry's hash; nothing of it is run."""
    npm = shutil.which("npm")
    if npm is None:
        return
    with tempfile.TemporaryDirectory(dir=parts.cache()) as work:
        pack = [npm, "pack", _PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", work]
        if subprocess.run(pack, cwd=work, capture_output=True, check=False, timeout=120).returncode != 0:
            return
        (packed,) = Path(work).glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(work, filter="data")
        if not _place().is_dir():
            Path(work, "package").rename(_place())


def deliveries(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield event name and payload of every example."""
    for index in sorted(folder.glob("*/index.json")):
        for event in orjson.loads(index.read_bytes()):
            for example in event["examples"]:
                yield event["name"], example


def _place() -> Path:
    return parts.cache() / _PACKAGE.rpartition("/")[2].replace("@", "-")
