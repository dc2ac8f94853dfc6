"""The target `directory` while somebody reads, and when the agent is killed at any point."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from agent.adapters.directory import DirectoryTarget
from tests import soak
from tests.agent.trees import COMMIT, MemoryTree

_FILES: Final = 12


def numbered(number: int) -> MemoryTree:
    """Return a tree all of whose files hold the same number."""
    tree = MemoryTree()
    for file in range(_FILES):
        tree.file(f"folder{file % 3}/{file}", b"%d" % number)
    return tree


def read_whole(site: Path) -> str:
    """Open what the link leads to, then read every file below it: all have to agree."""
    live = os.open(site, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = set()
        for file in range(_FILES):
            descriptor = os.open(f"folder{file % 3}/{file}", os.O_RDONLY, dir_fd=live)
            found.add(os.read(descriptor, 20).decode())
            os.close(descriptor)
    finally:
        os.close(live)
    (only,) = found
    return only


async def test_a_reader_sees_the_old_tree_or_the_new_one(tmp_path: Path) -> None:
    """During 200 switches nobody finds a missing or mixed tree."""
    site, stop, seen = tmp_path / "site", threading.Event(), set[str]()

    def read_on() -> None:
        while not stop.is_set():
            seen.add(read_whole(site))
            time.sleep(0.001)

    async with DirectoryTarget(site) as target:
        await target.apply(COMMIT, numbered(0).id, numbered(0))
        reader = asyncio.get_running_loop().run_in_executor(None, read_on)
        try:
            for number in range(1, 201):
                tree = numbered(number)
                await target.apply(COMMIT, tree.id, tree)
        finally:
            stop.set()
        await reader
    assert len(seen) > 20


_ENDLESS: Final = textwrap.dedent("""
    import asyncio, sys
    from itertools import count
    from pathlib import Path
    from agent.adapters.directory import DirectoryTarget
    from tests.agent.test_directory_faults import numbered
    from tests.agent.trees import COMMIT

    async def main():
        async with DirectoryTarget(Path(sys.argv[1]), keep_releases=2) as target:
            for number in count(int(sys.argv[2])):
                tree = numbered(number)
                await target.apply(COMMIT, tree.id, tree)
                if number == int(sys.argv[2]):
                    print("first", flush=True)

    asyncio.run(main())
""")


async def kill_at_random_points(site: Path, rounds: int) -> None:
    """After each kill the link leads to one whole tree; the next run goes on and leaves nothing behind."""
    chance, begun = random.Random(rounds), time.monotonic()
    number = 0
    for _ in range(rounds):
        command = [sys.executable, "-c", _ENDLESS, str(site), str(number + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:  # noqa: ASYNC220  # nothing else runs here
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"first\n"
            time.sleep(chance.uniform(0, 0.05))  # noqa: ASYNC251  # as above
            writer.send_signal(signal.SIGKILL)
        number = int(read_whole(site))
        async with DirectoryTarget(site, keep_releases=2) as target:
            tree = numbered(number)
            assert await target.drifted(tree.id, full=True) is None
            assert (await target.apply(COMMIT, tree.id, tree)).unchanged == _FILES
        home = site.with_name(".site.bellpull")
        assert list((home / "incoming").iterdir()) == []
        left = {path.name for path in (home / "releases").iterdir()}
        assert left == {path.name for path in (home / "records").iterdir()}
        assert len(left) <= 2
    took_s = round(time.monotonic() - begun)
    soak.record("agent killed while it writes", rounds=rounds, written=number, lost=0, seconds=took_s)


async def test_a_kill_at_any_point_leaves_a_whole_tree_live(tmp_path: Path) -> None:
    await kill_at_random_points(tmp_path / "site", 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_many_kills_leave_a_whole_tree_live(tmp_path: Path) -> None:
    await kill_at_random_points(tmp_path / "site", 200)
