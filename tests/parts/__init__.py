"""Real parts that tests run against: each is a module here that finds, installs and starts one.

A part that is not there is installed where that is possible without asking (as root on Debian); where it cannot be
had its tests are skipped, and the end of the run lists them with the command that would provide it. With CI=true
that list is a failure: a skipped test proves nothing.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

__all__ = ["Missing", "Part", "apt_install", "cache", "hermetic", "is_ci", "missing", "need"]

_POLICY: Final = Path("/usr/sbin/policy-rc.d")


class Part(Protocol):
    """What a module here has; a module satisfies it. How a part is started differs, and so do the signatures."""

    NAME: str
    GET: str
    """The command that would provide it."""

    def find(self) -> Path | None:
        """Return where it is, None if it is nowhere."""
        ...

    def install(self) -> None:
        """Try to get it without asking anybody; do nothing where that cannot be done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A part that was needed and could not be had."""

    part: str
    get: str


missing: Final[set[Missing]] = set()
"""What this run could not have."""
_found: Final[dict[str, Path | None]] = {}


def need(part: Part) -> Path:
    """Return where `part` is, installing it if need be; skips the test if it cannot be had."""
    if part.NAME not in _found:
        _found[part.NAME] = _get(part)
    path = _found[part.NAME]
    if path is None:
        missing.add(Missing(part=part.NAME, get=part.GET))
        pytest.skip(f"{part.NAME} is not here; get it by: {part.GET}")
    return path


def _get(part: Part) -> Path | None:
    path = part.find()
    if path is None:
        part.install()
        path = part.find()
    return path


def is_ci() -> bool:
    """Whether what cannot be tested is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def cache() -> Path:
    """Return the folder, made if need be, for what is downloaded or built once."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bellpull"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hermetic() -> dict[str, str]:
    """Return an environment in which Git knows nothing of this machine and its user."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }


def apt_install(*packages: str) -> None:
    """Install Debian packages as root, starting none of their services; does nothing elsewhere."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with _no_services():
        done = subprocess.run(install, env=environment, capture_output=True, check=False, timeout=600)
        if done.returncode != 0:
            subprocess.run(
                ["apt-get", "update", "-qq"], env=environment, capture_output=True, check=False, timeout=300
            )
            subprocess.run(install, env=environment, capture_output=True, check=False, timeout=600)


@contextmanager
def _no_services() -> Iterator[None]:
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
