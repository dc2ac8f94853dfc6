"""Files are whole or not there; folders have one owner."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bellpull.runtime.files import FolderLock, ForeignLockError, LockedError, locked, write_atomic

HOLD = """
import sys
from pathlib import Path
from bellpull.runtime.files import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_replaced_whole_with_its_mode_and_nothing_is_left_over(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o644)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_its_owners_unless_said_otherwise(tmp_path: Path) -> None:
    write_atomic(tmp_path / "key", b"x")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_who_has_the_old_file_open_keeps_reading_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old"


def test_what_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "folder", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_folder_in_use_names_who_uses_it_and_is_free_when_that_dies(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"{tmp_path} is in use by process {holder.pid}"):
            FolderLock(tmp_path).acquire()
        holder.kill()
        holder.wait()
    with FolderLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_that_was_given_back_can_be_taken_again(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    with pytest.raises(LockedError):
        FolderLock(tmp_path).acquire()
    assert locked(tmp_path)
    lock.release()
    lock.release()
    assert not locked(tmp_path)
    with FolderLock(tmp_path):
        pass


def _hard_link(lock: Path, other: Path) -> None:
    lock.hardlink_to(other)


def _fifo(lock: Path, _: Path) -> None:
    os.mkfifo(lock)


def _folder(lock: Path, _: Path) -> None:
    lock.mkdir()


@pytest.mark.parametrize("put", [Path.symlink_to, _hard_link, _fifo, _folder])
def test_a_lock_that_leads_elsewhere_is_refused_and_not_written_to(
    put: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "folder"
    precious.write_bytes(b"precious")
    folder.mkdir()
    put(folder / "lock", precious)
    with pytest.raises(ForeignLockError, match=r"folder/lock has to be a file of user \d+ with no other name"):
        FolderLock(folder).acquire()
    assert precious.read_bytes() == b"precious"


def test_a_lock_is_taken_in_the_open_folder_whatever_bears_its_name_by_now(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    here = os.open(mine, os.O_RDONLY | os.O_DIRECTORY)
    try:
        mine.rename(tmp_path / "moved")
        other.rename(mine)
        lock = FolderLock(mine)
        lock.acquire(here)
    finally:
        os.close(here)
    assert (tmp_path / "moved" / "lock").read_text() == f"{os.getpid()}\n"
    assert list(mine.iterdir()) == []
    lock.release()
