"""The target `directory`, on real folders: what is live is one whole tree, and nothing foreign is ever lost."""

# ruff: noqa: ASYNC240  # tests look at the file system between steps
import asyncio
import errno
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.directory import DirectoryTarget
from agent.adapters.releases import Releases
from agent.core.tree import EntryMode
from agent.ports.target import Target, TargetError
from bellpull.contract.report import Counts
from tests.agent.trees import COMMIT, MemoryTree


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
async def target(site: Path) -> AsyncIterator[DirectoryTarget]:
    async with DirectoryTarget(site) as target:
        yield target


def small(number: int = 1) -> MemoryTree:
    tree = MemoryTree().program("bin/run", b"#!/bin/sh\n").link("latest", b"docs/a.txt")
    return tree.file("docs/a.txt", b"%d" % number).file("index.html", b"hello")


async def apply(target: Target, tree: MemoryTree) -> Counts:
    return await target.apply(COMMIT, tree.id, tree)


def home(site: Path) -> Path:
    return site.with_name(f".{site.name}.bellpull")


def releases(site: Path) -> list[str]:
    return sorted(path.name for path in (home(site) / "releases").iterdir())


def everything(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All below `folder` with inode, size and time of change: equal means nothing was written."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_size, status.st_ctime_ns)
    return found


async def test_the_tree_is_live_as_git_has_it(target: DirectoryTarget, site: Path) -> None:
    assert await apply(target, small()) == Counts(created=4)
    assert site.is_symlink()
    assert (site / "index.html").read_bytes() == b"hello"
    assert (site / "latest").is_symlink()
    assert (site / "latest").read_bytes() == b"1"
    assert os.access(site / "bin/run", os.X_OK)
    assert await target.drifted(small().id, full=True) is None


async def test_modes_are_gits_whatever_the_umask(target: DirectoryTarget, site: Path) -> None:
    before = os.umask(0o077)
    try:
        await apply(target, small())
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((site / name).stat().st_mode) for name in (".", "docs", "bin/run", "index.html")}
    assert modes == {".": 0o755, "docs": 0o755, "bin/run": 0o755, "index.html": 0o644}
    assert stat.S_IMODE(home(site).stat().st_mode) == 0o755


async def test_the_link_is_relative_so_that_the_folder_may_be_mounted_elsewhere(
    target: DirectoryTarget, site: Path
) -> None:
    await apply(target, small())
    assert site.readlink() == Path(".site.bellpull/releases") / f"1-{small().id[:12]}"


async def test_the_same_tree_again_writes_nothing(target: DirectoryTarget, site: Path) -> None:
    """Idempotent (P7), in the same process and after a restart, when everything is read once."""
    await apply(target, small())
    before = everything(site.parent)
    assert await apply(target, small()) == Counts(unchanged=4)
    assert everything(site.parent) == before
    await target.close()
    async with DirectoryTarget(site) as restarted:
        assert await apply(restarted, small()) == Counts(unchanged=4)
    after = everything(site.parent)
    lock = str(home(site) / "lock")
    assert {path: what for path, what in after.items() if path != lock} == {
        path: what for path, what in before.items() if path != lock
    }


async def test_counts_are_relative_to_what_was_live(target: DirectoryTarget) -> None:
    await apply(target, MemoryTree().file("same").file("old").file("mode").file("text", b"1"))
    second = MemoryTree().file("same").file("new").program("mode").file("text", b"2")
    assert await apply(target, second) == Counts(created=1, changed=2, unchanged=1, deleted=1)


async def test_a_tree_without_files_is_an_empty_release(target: DirectoryTarget, site: Path) -> None:
    assert await apply(target, MemoryTree()) == Counts()
    assert list(site.iterdir()) == []
    assert await target.drifted(MemoryTree().id, full=True) is None


async def test_names_are_bytes(target: DirectoryTarget, site: Path) -> None:
    """A newline, Latin-1, and both compositions of an accent are four different names."""
    names = [b"new\nline", b"caf\xe9", "caf\u00e9".encode(), "cafe\u0301".encode(), b"-rf", b" ", b"d\xff/\xfe"]
    tree = MemoryTree()
    for number, name in enumerate(names):
        tree.file(name, b"%d" % number)
    await apply(target, tree)
    for number, name in enumerate(names):
        assert Path(os.fsdecode(os.fsencode(site) + b"/" + name)).read_bytes() == b"%d" % number
    assert await target.drifted(tree.id, full=True) is None


async def test_the_longest_path_that_is_planned_can_be_read(target: DirectoryTarget, site: Path) -> None:
    room = 4095 - len(os.fsencode(home(site))) - len("/releases//") - 32
    path = (b"x" * 254 + b"/") * (room // 255) + b"y" * (room % 255)
    tree = MemoryTree().file(path, b"deep")
    await apply(target, tree)
    assert Path(os.fsdecode(os.fsencode(site.resolve()) + b"/" + path)).read_bytes() == b"deep"
    with pytest.raises(TargetError, match=f"may have {room}"):
        await apply(target, MemoryTree().file(path + b"y"))


@pytest.mark.parametrize(
    ("tree", "path", "problem"),
    [
        (MemoryTree().file("../x"), "../x", "part .."),
        (MemoryTree().file("a").file("a/b"), "a", "both as a folder"),
        (MemoryTree().file(".git/config"), ".git/config", ".git"),
        (MemoryTree().link("out", b"/etc/passwd"), "out", "/etc/passwd"),
        (MemoryTree().link("a/out", b"../../x"), "a/out", "out of the tree"),
        (MemoryTree().link("l", b"l"), "l", "circle"),
        (MemoryTree().file("sub", b"", EntryMode.GITLINK), "sub", "submodule"),
        (MemoryTree().file(b"n\xc3\xa9\xff" + b"x" * 255), r"né\xff" + "x" * 255, "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_hostile_tree_is_refused_by_path_and_what_is_live_stays(
    target: DirectoryTarget, site: Path, tree: MemoryTree, path: str, problem: str
) -> None:
    await apply(target, small())
    before = everything(site.parent)
    with pytest.raises(TargetError, match=problem) as refused:
        await apply(target, tree)
    assert (refused.value.path, refused.value.permanent) == (path, True)
    assert everything(site.parent) == before


async def test_all_problems_of_a_tree_are_told_up_to_ten(target: DirectoryTarget) -> None:
    tree = MemoryTree()
    for number in range(12):
        tree.link(f"l{number:02}", b"/x")
    with pytest.raises(TargetError, match=r"^l00: .*; l01: .*; l09: .*; and 2 more$"):
        await apply(target, tree)


def make_file(site: Path) -> None:
    site.write_text("mine")


def make_folder(site: Path) -> None:
    site.mkdir()
    (site / "mine").write_text("mine")


def make_link(site: Path) -> None:
    site.symlink_to("/nowhere")


def make_pipe(site: Path) -> None:
    os.mkfifo(site)


@pytest.mark.parametrize("make", [make_file, make_folder, make_link, make_pipe])
async def test_what_is_not_ours_is_refused_and_untouched(
    target: DirectoryTarget, site: Path, make: Callable[[Path], None]
) -> None:
    make(site)
    before = everything(site.parent)
    with pytest.raises(TargetError, match=r"site: is .* that bellpull did not make: .*adopt: true") as refused:
        await apply(target, small())
    assert not refused.value.permanent
    assert {path: everything(site.parent)[path] for path in before} == before


@pytest.mark.parametrize("make", [make_file, make_folder, make_link, make_pipe])
async def test_adopt_moves_it_aside_and_overwrites_nothing(site: Path, make: Callable[[Path], None]) -> None:
    make(site)
    inode = site.lstat().st_ino
    earlier = site.with_name("site.adopted-20260102T030405Z")
    earlier.write_text("an earlier one")
    async with DirectoryTarget(site, adopt=True, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) as target:
        await apply(target, small())
    assert site.with_name("site.adopted-20260102T030405Z-2").lstat().st_ino == inode
    assert earlier.read_text() == "an earlier one"
    assert (site / "index.html").read_bytes() == b"hello"


def touch_up(path: Path, data: bytes) -> None:
    """Change bytes and leave size and time of modification as they were."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("index.html")


def relink(path: Path, to: str) -> None:
    path.unlink()
    path.symlink_to(to)


def remove_all(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


DRIFTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed bytes": (lambda site: (site / "index.html").write_text("other"), "index.html has other content"),
    "same size, same time": (lambda site: touch_up(site / "index.html", b"HELLO"), "index.html has other content"),
    "missing": (lambda site: (site / "docs/a.txt").unlink(), "docs/a.txt is gone"),
    "missing folder": (lambda site: remove_all(site / "docs"), "docs is gone"),
    "extra file": (lambda site: (site / "docs/extra").write_text(""), "docs/extra is not in Git"),
    "extra folder": (lambda site: (site / "docs/more/deep").mkdir(parents=True), "docs/more is not in Git"),
    "extra name that is no UTF-8": (
        lambda site: os.close(os.open(os.fsencode(site) + b"/\xff", os.O_CREAT | os.O_WRONLY)),
        r"\\xff is not in Git",
    ),
    "executable bit": (lambda site: (site / "bin/run").chmod(0o644), "bin/run has other permissions"),
    "unreadable": (lambda site: (site / "index.html").chmod(0), "index.html has other"),
    "folder's mode": (lambda site: (site / "docs").chmod(0o777), "docs has other permissions"),
    "root's mode": (lambda site: site.chmod(0o777), r"\(root\) has other permissions"),
    "another kind": (lambda site: replace_by_link(site / "docs/a.txt"), "docs/a.txt is of another kind"),
    "link in the tree": (lambda site: relink(site / "latest", "index.html"), "latest has other content"),
    "the link is gone": (lambda site: site.unlink(), "is gone"),
    "the link leads elsewhere": (lambda site: relink(site, "/nowhere"), "a link to /nowhere"),
    "the home is gone": (lambda site: home(site).rename(site.with_name("away")), "is not there"),
    "the release is gone": (lambda site: site.resolve().rename(site.with_name("away")), "is gone"),
}


@pytest.mark.parametrize(("drift", "reason"), DRIFTS.values(), ids=DRIFTS)
async def test_drift_is_named_and_undone_by_a_new_release(
    target: DirectoryTarget, site: Path, drift: Callable[[Path], object], reason: str
) -> None:
    await apply(target, small())
    old = site.readlink()
    drift(site)
    with pytest.raises(AssertionError, match=reason):
        assert await target.drifted(small().id, full=False) is None
    await apply(target, small())
    assert await target.drifted(small().id, full=True) is None
    assert (site / "latest").read_bytes() == b"1"
    assert site.readlink() != old or reason == "is not there"


@pytest.mark.parametrize(("drift", "reason"), DRIFTS.values(), ids=DRIFTS)
async def test_an_event_follows_every_drift_within_a_second(
    target: DirectoryTarget, site: Path, drift: Callable[[Path], object], reason: str
) -> None:
    """P8: seen by file system events and undone, in under a second."""
    del reason
    await apply(target, small())
    async with aclosing(target.changes()) as changes:
        await anext(changes)
        drift(site)
        async with asyncio.timeout(1):
            await anext(changes)
            while await target.drifted(small().id, full=False) is None:
                await anext(changes)
            await apply(target, small())
    assert await target.drifted(small().id, full=True) is None


async def test_listening_goes_on_after_a_switch_and_rests(target: DirectoryTarget, site: Path) -> None:
    """Our own writes ring the bell a few times at most; then only a drift of the new release does."""
    await apply(target, small())
    async with aclosing(target.changes()) as changes:
        await anext(changes)
        for number in range(2, 5):
            await apply(target, small(number))
        waiting = asyncio.ensure_future(anext(changes))  # noqa: TID251  # to see that it does not end
        for _ in range(4):
            done, _ = await asyncio.wait({waiting}, timeout=0.4)
            if not done:
                break
            waiting = asyncio.ensure_future(anext(changes))  # noqa: TID251  # as above
        else:
            pytest.fail("its own writes keep ringing")
        (site / "index.html").write_text("other")
        async with asyncio.timeout(1):
            await waiting
    assert await target.drifted(small(4).id, full=False)


async def test_what_leads_out_of_the_release_is_not_listened_to(target: DirectoryTarget, site: Path) -> None:
    """A link to a foreign folder in a drifted release watches nothing there."""
    outside = site.with_name("outside")
    outside.mkdir()
    await apply(target, small())
    (site / "out").symlink_to(outside)
    async with aclosing(target.changes()) as changes:
        await anext(changes)
        (outside / "x").write_text("")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(changes)


async def test_touching_is_no_drift(target: DirectoryTarget, site: Path) -> None:
    """Time stamps are not Git's: content decides."""
    await apply(target, small())
    (site / "index.html").touch()
    os.utime(site / "docs/a.txt", ns=(0, 0))
    (site / "docs/tmp").write_text("")
    (site / "docs/tmp").unlink()
    assert await target.drifted(small().id, full=False) is None


async def test_a_full_check_reads_everything(site: Path) -> None:
    """Where a stamp does not tell (here: a clock that makes all look old), the full check still sees it."""
    late = datetime(2100, 1, 1, tzinfo=UTC)
    async with DirectoryTarget(site, now=lambda: late) as target:
        await apply(target, small())
        name, stamps = target._trusted
        assert set(stamps) == {b"bin/run", b"docs/a.txt", b"index.html", b"latest"}
        touch_up(site / "index.html", b"HELLO")
        seen = os.stat(site / "index.html")  # noqa: PTH116  # follows the link on purpose
        stamp = type(stamps[b"index.html"]).of(seen)
        target._trusted = (name, {**stamps, b"index.html": stamp})
        assert await target.drifted(small().id, full=False) is None
        assert "index.html" in str(await target.drifted(small().id, full=True))


async def test_a_young_stamp_is_not_trusted(target: DirectoryTarget) -> None:
    """A second change within one tick of the clock leaves the same stamp, so what just changed is read again."""
    await apply(target, small())
    assert target._trusted[1] == {}


async def test_another_tree_is_drift(target: DirectoryTarget) -> None:
    assert "is not there" in str(await target.drifted(small().id, full=False))
    await apply(target, small())
    assert "no release of this tree" in str(await target.drifted(small(2).id, full=False))


async def test_a_lost_record_makes_a_new_release(target: DirectoryTarget, site: Path) -> None:
    await apply(target, small())
    (home(site) / "records" / site.readlink().name).write_bytes(b"torn")
    assert await target.drifted(small().id, full=False)
    await apply(target, small())
    assert await target.drifted(small().id, full=False) is None


@pytest.mark.parametrize("keep", [1, 2, 3])
async def test_old_releases_go_when_their_number_is_up(site: Path, keep: int) -> None:
    async with DirectoryTarget(site, keep_releases=keep) as target:
        for number in range(1, 6):
            await apply(target, small(number))
    numbers = [int(name.split("-")[0]) for name in releases(site)]
    assert numbers == list(range(6 - keep, 6))
    assert sorted(path.name for path in (home(site) / "records").iterdir()) == releases(site)
    assert list((home(site) / "incoming").iterdir()) == []


async def test_a_file_in_place_of_the_link_is_refused_even_after_it_was_ours(
    target: DirectoryTarget, site: Path
) -> None:
    await apply(target, small())
    site.unlink()
    make_folder(site)
    assert "a folder" in str(await target.drifted(small().id, full=False))
    with pytest.raises(TargetError, match="adopt"):
        await apply(target, small())
    assert (site / "mine").read_text() == "mine"
    assert len(releases(site)) == 1


async def test_a_second_owner_is_refused_by_pid(target: DirectoryTarget, site: Path) -> None:
    await apply(target, small())
    async with DirectoryTarget(site) as other:
        with pytest.raises(TargetError, match=f"owned by process {os.getpid()}: stop it"):
            await apply(other, small())
        await target.close()
        await apply(other, small(2))


async def test_a_home_that_others_may_write_to_is_refused(target: DirectoryTarget, site: Path) -> None:
    home(site).mkdir(mode=0o755)
    home(site).chmod(0o777)
    with pytest.raises(TargetError, match="nobody else may write there"):
        await apply(target, small())


async def test_a_home_that_is_a_link_is_refused(target: DirectoryTarget, site: Path) -> None:
    elsewhere = site.with_name("elsewhere")
    elsewhere.mkdir()
    home(site).symlink_to(elsewhere)
    with pytest.raises(TargetError, match=r"\.site\.bellpull: "):
        await apply(target, small())
    assert list(elsewhere.iterdir()) == []


async def test_a_home_that_is_exchanged_after_the_look_costs_no_other_file(
    target: DirectoryTarget, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write to the parent puts a folder of theirs there, whose lock leads to a file of the agent's user."""
    precious, trap = site.with_name("precious"), site.with_name("trap")
    precious.write_bytes(b"precious")
    trap.mkdir()
    (trap / "lock").symlink_to(precious)
    refuse = Releases._refuse_shared

    def exchange(self: Releases, top: int) -> None:
        refuse(self, top)
        home(site).rename(site.with_name("moved"))
        trap.rename(home(site))

    monkeypatch.setattr(Releases, "_refuse_shared", exchange)
    await apply(target, small())
    assert precious.read_bytes() == b"precious"
    assert (site.with_name("moved") / "lock").read_text() == f"{os.getpid()}\n"


async def test_a_lock_that_leads_elsewhere_is_refused_by_name(target: DirectoryTarget, site: Path) -> None:
    precious = site.with_name("precious")
    precious.write_bytes(b"precious")
    home(site).mkdir(mode=0o755)
    (home(site) / "lock").symlink_to(precious)
    with pytest.raises(TargetError, match=r"\.site\.bellpull/lock: has to be a file of user"):
        await apply(target, small())
    assert precious.read_bytes() == b"precious"


async def test_a_folder_that_took_the_place_of_the_new_home_keeps_its_mode(
    target: DirectoryTarget, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = site.with_name("private")
    private.mkdir(mode=0o700)
    (private / "key").write_bytes(b"key")
    mkdir = os.mkdir

    def exchange(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        home(site).rename(site.with_name("moved"))
        private.rename(home(site))

    monkeypatch.setattr(os, "mkdir", exchange)
    with pytest.raises(TargetError, match="was exchanged while it was made"):
        await apply(target, small())
    assert stat.S_IMODE(home(site).stat().st_mode) == 0o700


async def test_a_parent_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with DirectoryTarget(tmp_path / "none" / "site") as target:
        with pytest.raises(TargetError, match=r"none: is not there: make it"):
            await apply(target, small())


class FullDisk(MemoryTree):
    """Gives one file, then the disk is full."""

    def blob(self, oid: str) -> bytes:
        if self.blobs[oid] == b"last":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.blobs[oid]


async def test_a_run_that_fails_leaves_nothing_behind(target: DirectoryTarget, site: Path) -> None:
    await apply(target, small())
    before = everything(site.parent)
    full = FullDisk().file("a", b"first").file("b", b"last")
    with pytest.raises(TargetError, match="no room left") as failed:
        await target.apply(COMMIT, full.id, full)
    assert not failed.value.permanent
    assert {path: what[:1] for path, what in everything(site.parent).items()} == {
        path: what[:1] for path, what in before.items()
    }


class Slow(MemoryTree):
    """Waits before each file until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.go_on = threading.Event(), threading.Event()

    def blob(self, oid: str) -> bytes:
        self.started.set()
        assert self.go_on.wait(10)
        return self.blobs[oid]


async def test_a_run_that_is_cancelled_ends_before_the_switch_and_leaves_nothing(
    target: DirectoryTarget, site: Path
) -> None:
    await apply(target, small())
    slow = Slow()
    slow.file("a", b"1").file("b", b"2")
    running = asyncio.ensure_future(target.apply(COMMIT, slow.id, slow))  # noqa: TID251  # to cancel it
    await asyncio.to_thread(slow.started.wait, 10)
    running.cancel()
    await asyncio.sleep(0)
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await target.drifted(small().id, full=True) is None
    assert len(releases(site)) == 1
    assert list((home(site) / "incoming").iterdir()) == []


async def test_a_large_file_is_whole(target: DirectoryTarget, site: Path) -> None:
    data = bytes(range(256)) * (1 << 18)
    tree = MemoryTree().file("large", data)
    await apply(target, tree)
    assert (site / "large").stat().st_size == 64 << 20
    assert await target.drifted(tree.id, full=True) is None


async def test_a_path_that_could_be_no_link_is_a_mistake_of_the_caller() -> None:
    for path in ("/", "relative", "/srv/../x"):
        with pytest.raises(ValueError, match="no absolute path"):
            DirectoryTarget(Path(path))
