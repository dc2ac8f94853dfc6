"""The target `directory` with a command and a guard: when each speaks, on real folders with real processes."""

# ruff: noqa: ASYNC240  # tests look at the file system between steps

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from agent.adapters.command import Command
from agent.adapters.directory import DirectoryTarget
from agent.core.guard import Guard
from agent.ports.target import CommandError, TargetError
from bellpull.contract.report import Counts
from bellpull.contract.text import CommitId, SyncName
from tests.agent.trees import COMMIT, MemoryTree

_NOTE: Final = 'pwd -P >> "$0"; test ! -e "$0.broken"'
"""Notes in which release it ran; fails while somebody says so."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


def noting(site: Path) -> Command:
    argv = ("sh", "-c", _NOTE, str(site.with_name("ran")))
    return Command(argv=argv, timeout_s=20, sync=SyncName("default/site"))


def ran(site: Path) -> int:
    try:
        return len(site.with_name("ran").read_text().splitlines())
    except FileNotFoundError:
        return 0


def small(number: int = 1) -> MemoryTree:
    return MemoryTree().file("number", b"%d" % number)


def numbered(count: int) -> MemoryTree:
    tree = MemoryTree()
    for number in range(count):
        tree.file(f"f{number}")
    return tree


async def apply(target: DirectoryTarget, tree: MemoryTree, commit: CommitId = COMMIT) -> Counts:
    return await target.apply(commit, tree.id, tree)


async def test_it_runs_once_for_each_change(site: Path) -> None:
    """For the first apply, a new tree, a rollback and a drift undone; not for what is unchanged."""
    async with DirectoryTarget(site, command=noting(site)) as target:
        for tree, times in ((small(1), 1), (small(1), 1), (small(2), 2), (small(1), 3)):
            await apply(target, tree)
            assert ran(site) == times
            assert site.with_name("ran").read_text().splitlines()[-1] == str(site.resolve())
        (site / "number").write_text("drift")
        await apply(target, small(1))
        assert ran(site) == 4
    async with DirectoryTarget(site, command=noting(site)) as restarted:
        await apply(restarted, small(1))
    assert ran(site) == 4


async def test_what_failed_is_owed_until_it_ends_well(site: Path) -> None:
    """Also over a restart; what is on disk stays, and the debt is seen by a full look only."""
    broken = site.with_name("ran.broken")
    broken.touch()
    async with DirectoryTarget(site, command=noting(site)) as target:
        for times in (1, 2):
            with pytest.raises(CommandError, match="CommandFailed: sh ended with exit code 1"):
                await apply(target, small())
            assert (ran(site), (site / "number").read_bytes()) == (times, b"1")
        assert await target.drifted(small().id, full=False) is None
    async with DirectoryTarget(site, command=noting(site)) as restarted:
        assert "command did not end well" in str(await restarted.drifted(small().id, full=True))
        broken.unlink()
        assert await apply(restarted, small()) == Counts(unchanged=1)
        assert await restarted.drifted(small().id, full=True) is None
        await apply(restarted, small())
    assert ran(site) == 3


async def test_a_debt_is_for_one_tree(site: Path) -> None:
    """A newer tree takes it over; a Sync that has no command any more owes nothing."""
    broken = site.with_name("ran.broken")
    broken.touch()
    async with DirectoryTarget(site, command=noting(site)) as target:
        with pytest.raises(CommandError):
            await apply(target, small(1))
        broken.unlink()
        await apply(target, small(2))
        await apply(target, small(2))
        assert ran(site) == 2
        broken.touch()
        with pytest.raises(CommandError):
            await apply(target, small(3))
    async with DirectoryTarget(site) as without:
        await apply(without, small(3))
    async with DirectoryTarget(site, command=noting(site)) as again:
        await apply(again, small(3))
    assert ran(site) == 3


async def test_a_switch_that_fails_owes_nothing(site: Path) -> None:
    """What is live did not change: its command does not run."""
    async with DirectoryTarget(site, command=noting(site)) as target:
        await apply(target, small(1))
        old = site.readlink()
        site.unlink()
        site.mkdir()
        with pytest.raises(TargetError, match="did not make"):
            await apply(target, small(2))
        site.rmdir()
        site.symlink_to(old)
        await apply(target, small(1))
    assert ran(site) == 1


@pytest.mark.parametrize("keep", [1, 3])
async def test_it_holds_with_adopt_and_few_releases(site: Path, keep: int) -> None:
    site.mkdir()
    (site / "mine").touch()
    async with DirectoryTarget(site, adopt=True, keep_releases=keep, command=noting(site)) as target:
        await apply(target, numbered(20))
        assert ran(site) == 1
        with pytest.raises(TargetError, match="EmptySource"):
            await apply(target, MemoryTree())
        with pytest.raises(TargetError, match="MassDeletion"):
            await apply(target, numbered(1))
        await apply(target, numbered(19))
    assert ran(site) == 2


_KILLED: Final = textwrap.dedent("""
    import asyncio, os, signal, sys
    from pathlib import Path
    from agent.adapters.directory import DirectoryTarget
    from agent.adapters.link import Link
    from agent.adapters.command import Command
    from tests.agent.test_directory_change import apply, noting, small

    site, where = Path(sys.argv[1]), sys.argv[2]

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        async with DirectoryTarget(site, command=noting(site)) as target:
            await apply(target, small(1))
            if where == "before the switch":
                Link.switch = die
            elif where == "after the switch":
                switch = Link.switch
                Link.switch = lambda self, home, name: (switch(self, home, name), die())
            elif where == "before the command":
                Command.run = die
            elif where == "during the command":
                run = Command.run
                Command.run = lambda self, *given: (run(self, *given), die())
            await apply(target, small(2))

    asyncio.run(main())
""")


@pytest.mark.parametrize(
    ("where", "before", "after"),
    [
        ("before the switch", 1, 2),
        ("after the switch", 1, 2),
        ("before the command", 1, 2),
        ("during the command", 2, 3),
    ],
)
async def test_a_kill_between_switch_and_command_runs_it_again(
    site: Path, where: str, before: int, after: int
) -> None:
    """At least once: what the disk says is owed is run after the restart, and then no more."""
    done = subprocess.run([sys.executable, "-c", _KILLED, str(site), where], check=False)  # noqa: ASYNC221
    assert done.returncode == -signal.SIGKILL
    assert ran(site) == before
    async with DirectoryTarget(site, command=noting(site)) as target:
        await apply(target, small(2))
        await apply(target, small(2))
    assert ran(site) == after


async def test_a_kill_before_the_switch_owes_nothing_for_what_stayed_live(site: Path) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, str(site), "before the switch"], check=False)  # noqa: ASYNC221
    async with DirectoryTarget(site, command=noting(site)) as target:
        await apply(target, small(1))
    assert ran(site) == 1


def relink_to_the_first(site: Path) -> None:
    site.unlink()
    site.symlink_to(next(path for path in site.parent.glob(".site.bellpull/releases/1-*")).relative_to(site.parent))


def unlink(site: Path) -> None:
    site.unlink()


@pytest.mark.parametrize("drift", [relink_to_the_first, unlink])
async def test_drift_neither_trips_nor_disarms_the_guard(site: Path, drift: Callable[[Path], None]) -> None:
    """P9 compares with what was made last: an older release that somebody made live, or none, changes nothing."""
    accepted = CommitId("a" * 40)
    async with DirectoryTarget(site, guard=Guard(accept=accepted)) as target:
        await apply(target, numbered(100))
        await apply(target, numbered(20), accepted)
        drift(site)
        with pytest.raises(TargetError, match="EmptySource"):
            await apply(target, MemoryTree())
        await apply(target, numbered(20))
        assert await target.drifted(numbered(20).id, full=True) is None


async def test_what_the_guard_refuses_is_not_written_and_what_runs_stays(site: Path) -> None:
    """P9: nothing is written, and a later push that is harmless goes through."""
    async with DirectoryTarget(site, command=noting(site)) as target:
        await apply(target, numbered(100))
        before = {str(path): path.lstat().st_ctime_ns for path in site.parent.rglob("*")}
        with pytest.raises(TargetError, match="MassDeletion: 99 of 100") as refused:
            await apply(target, numbered(1))
        assert refused.value.permanent
        assert {str(path): path.lstat().st_ctime_ns for path in site.parent.rglob("*")} == before
        await apply(target, numbered(90))
    assert (ran(site), len(os.listdir(site))) == (2, 90)  # noqa: PTH208


async def test_what_is_owed_cannot_lead_out_of_the_folder(site: Path) -> None:
    """A link in place of the note is replaced or refused, never followed."""
    precious = site.with_name("precious")
    precious.write_text("precious")
    async with DirectoryTarget(site, command=noting(site)) as target:
        await apply(target, small(1))
        (site.with_name(".site.bellpull") / "records" / "owed").symlink_to(precious)
        with pytest.raises(TargetError, match="owed"):
            await apply(target, small(2))
    assert precious.read_text() == "precious"
