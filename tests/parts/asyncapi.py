"""AsyncAPI's own JSON Schemas of its documents: the npm package `@asyncapi/specs` (Apache-2.0)."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from tests import parts

__all__ = ["GET", "NAME", "find", "install", "schema"]

_PACKAGE: Final = "@asyncapi/specs@6.11.1"
NAME: Final = "AsyncAPI's schemas"
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


def schema(folder: Path, version: str) -> Any:
    """Return the schema of documents of a version."""
    return orjson.loads((folder / f"schemas/{version}-without-$id.json").read_bytes())


def _place() -> Path:
    return parts.cache() / _PACKAGE.rpartition("/")[2].replace("@", "-asyncapi-")
