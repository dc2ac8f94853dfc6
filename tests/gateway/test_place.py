"""Where a journal is safe (R7)."""

from pathlib import Path

import pytest

from bellpull.runtime.service import Fatal
from gateway.adapters.place import unsafe_place
from gateway.app import main as module
from gateway.app.config import JournalSettings
from gateway.core.filesystem import Mount, mount_of, unsafe

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
24 22 0:5 / /proc rw - proc proc rw
30 22 0:30 / /data rw,relatime shared:9 master:2 - nfs4 server:/export rw
31 30 8:2 / /data/local rw - xfs /dev/sdb1 rw
32 22 0:31 / /my\040disk rw - fuse.sshfs me@host: rw
33 22 0:32 / /twice rw - tmpfs tmpfs rw
34 22 0:33 / /twice rw - cifs //server/share rw
a line that is none
"""
PLACES = {
    "/": "ext4",
    "/var/lib/bellpull": "ext4",
    "/data": "nfs4",
    "/data/bellpull": "nfs4",
    "/database": "ext4",
    "/data/local/journal": "xfs",
    "/my disk/data": "fuse.sshfs",
    "/twice/data": "cifs",
}


@pytest.mark.parametrize(("path", "kind"), PLACES.items())
def test_the_mount_is_the_last_on_the_way(path: str, kind: str) -> None:
    mount = mount_of(path, MOUNTS)
    assert mount is not None
    assert mount.type == kind


def test_nothing_mounted_is_nothing_known() -> None:
    assert mount_of("/data", "") is None


KINDS = {
    **dict.fromkeys(["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p"], "network"),
    **dict.fromkeys(["fuse", "fuse.sshfs", "fuseblk", "fuse.s3fs"], "FUSE"),
    **dict.fromkeys(["overlay", "aufs"], "container"),
    **dict.fromkeys(["ext4", "xfs", "btrfs", "zfs", "tmpfs", "f2fs", "ext2"], None),
}


@pytest.mark.parametrize(("kind", "why"), KINDS.items(), ids=KINDS.keys())
def test_which_are_safe(kind: str, why: str | None) -> None:
    said = unsafe(Mount(point="/data", type=kind))
    assert (said is None) == (why is None)
    assert (why or "") in (said or "")


@pytest.fixture
def overlay(tmp_path: Path) -> str:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:40 / / rw - ext4 /dev/sda rw\n23 22 0:41 / {tmp_path} rw - overlay overlay rw\n")
    said = unsafe_place(tmp_path, mounts)
    assert said is not None
    return said


def test_a_gateway_refuses_such_a_place_and_says_what_to_do(overlay: str) -> None:
    with pytest.raises(Fatal, match=r"is overlay: a container's own layer.*say journal\.unsafe: true"):
        module._refuse(overlay, JournalSettings())


def test_it_runs_there_on_purpose(overlay: str) -> None:
    module._refuse(overlay, JournalSettings(unsafe=True))
    module._refuse(None, JournalSettings())


def test_where_the_kernel_does_not_say_nothing_is_refused(tmp_path: Path) -> None:
    assert unsafe_place(tmp_path, tmp_path / "nothing") is None
