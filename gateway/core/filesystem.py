"""Which file systems keep what was synced to them, and lock files for one machine only (R7)."""

import re
from typing import Final, NamedTuple

__all__ = ["Mount", "mount_of", "unsafe"]

_UNSAFE: Final = (
    (r"nfs[0-9]*|cifs|smb[a-z0-9]*|9p|afs|ncpfs", "a network's, where SQLite's log is not safe"),
    (r"fuse[a-z0-9_.-]*", "FUSE, which may acknowledge what is on no disk"),
    (r"overlay|overlayfs|aufs", "a container's own layer, which ends with the container"),
)


class Mount(NamedTuple):
    """Where a file system is mounted, and its type, as the kernel names it."""

    point: str
    type: str


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """Return the mount that `path`, absolute and resolved, is on; `mountinfo` is /proc/self/mountinfo (proc(5))."""
    mounts = (_mount(line) for line in mountinfo.splitlines() if " - " in line)
    on_the_way = [mount for mount in mounts if f"{path}/".startswith(mount.point.rstrip("/") + "/")]
    deepest = max((len(mount.point) for mount in on_the_way), default=0)
    return next((each for each in reversed(on_the_way) if len(each.point) == deepest), None)


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split(" ")[4])
    return Mount(point=point, type=after.split(" ")[0])


def unsafe(mount: Mount) -> str | None:
    """Return why a journal is not safe there."""
    why = next((why for pattern, why in _UNSAFE if re.fullmatch(pattern, mount.type)), None)
    return None if why is None else f"the file system at {mount.point} is {mount.type}: {why}"
