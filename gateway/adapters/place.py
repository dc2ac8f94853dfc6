"""Whether the gateway's folder is on a file system that a journal is safe on (R7)."""

from pathlib import Path
from typing import Final

from gateway.core.filesystem import mount_of, unsafe

__all__ = ["unsafe_place"]

_MOUNTS: Final = Path("/proc/self/mountinfo")


def unsafe_place(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return why a journal in `folder` is not safe; nothing where the kernel does not say what is mounted."""
    try:
        told = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    mount = mount_of(str(folder.resolve()), told)
    problem = None if mount is None else unsafe(mount)
    return None if problem is None else f"{folder}: {problem}"
