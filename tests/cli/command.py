"""Runs the real command, as a user would."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "bellpull"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str


def bellpull(*words: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Ended:
    """Run `bellpull WORDS` with nothing on its standard input, and return how it ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BELLPULL_", "COVERAGE"))}
    done = subprocess.run(
        [sys.executable, "-m", "bellpull", *map(str, words)],
        cwd=cwd,
        env={**kept, "COLUMNS": "100", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)
