"""AsyncAPI's own JSON Schemas of its documents: the npm package `@asyncapi/specs` (Apache-2.0)."""

from pathlib import Path
from typing import Any, Final

import orjson

from tests.parts import packed

__all__ = ["GET", "NAME", "find", "install", "schema"]

_PACKAGE: Final = "@asyncapi/specs@6.11.1"
NAME: Final = "AsyncAPI's schemas"
GET: Final = f"npm pack {_PACKAGE} (apt-get install npm; the tests then get it by themselves)"


def find() -> Path | None:
    """Return the folder of the unpacked package in the cache."""
    folder = packed.place(_PACKAGE)
    return folder if folder.is_dir() else None


def install() -> None:
    """Get it by npm, which checks it against its registry's hash; nothing of it is run."""
    packed.unpack(_PACKAGE)


def schema(folder: Path, version: str) -> Any:
    """Return the schema of documents of a version."""
    return orjson.loads((folder / f"schemas/{version}-without-$id.json").read_bytes())
