"""Commands that take their time, with a real agent: they hold up their own Sync, and no other."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from bellpull.cli.demo.world import World, world
from tests.e2e.site import Site, document, open_to_all, until
from tests.parts.git import Repository

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SCRIPT: Final = """
echo "begin $BELLPULL_COMMIT" >> "$BELLPULL_PATH.ran"
while test -e "$BELLPULL_PATH.slow"; do sleep 0.05; done
echo "end $BELLPULL_COMMIT" >> "$BELLPULL_PATH.ran"
"""
_SLOW: Final = ("slow-1", "slow-2", "slow-3", "slow-4")
_LIVE_S: Final = 2.0
"""A push takes a tenth of a second; the rest is for a machine that has other things to do."""


def _document(git_url: str, name: str) -> dict[str, Any]:
    made = document(git_url, name)
    made["spec"]["target"]["directory"]["onChange"] = {"command": ["sh", "-c", _SCRIPT], "timeout": "60s"}
    return made


def _prepare(folder: Path, git_url: str) -> None:
    open_to_all(folder)
    names = (*_SLOW, "quick")
    file = folder / "web-1" / "syncs.yaml"
    first = file.read_text().split("\n---\n")[0]
    file.write_text(f"{first}\n---\n{yaml.safe_dump_all([_document(git_url, name) for name in names])}")
    for name in names:
        Repository(folder / "git", f"sites/{name}").commit({"public/index.html": b"first"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(git_programs: Path) -> AsyncIterator[World]:
    assert git_programs.name
    async with world(_prepare) as made:
        for name in (*_SLOW, "quick"):
            await _ran(Site(made, name), 2)
        yield made


async def _ran(site: Site, count: int) -> list[str]:
    """Wait until the command of a Sync has written so many lines, and return them."""
    lines: list[str] = []

    async def look() -> bool:
        ran = site.folder.with_suffix(".ran")
        lines[:] = ran.read_text().splitlines() if ran.exists() else []
        return len(lines) >= count

    await until(look, lambda: f"{site.name}: {lines}")
    return lines


async def test_four_slow_commands_hold_up_no_fifth_sync(running: World) -> None:
    """A push to another Sync is live, and its command run; each slow one ends before the newest push of its own."""
    slow, quick = [Site(running, name) for name in _SLOW], Site(running, "quick")
    for site in slow:
        site.folder.with_suffix(".slow").touch()
    firsts = [await site.announce(await site.commit(f"second of {site.name}")) for site in slow]
    for site in slow:
        await _ran(site, 3)
    begun = monotonic()
    commit = await quick.announce(await quick.commit("second"))
    await quick.word(commit, "applied")
    took_s = monotonic() - begun
    newest = [await site.announce(await site.commit(f"third of {site.name}")) for site in slow]
    for site in slow:
        assert site.read() == f"second of {site.name}", "the newest push waits for the command of its own Sync"
        site.folder.with_suffix(".slow").unlink()
    assert quick.read() == "second"
    assert took_s < _LIVE_S
    for site, first, last in zip(slow, firsts, newest, strict=True):
        await site.word(last, "applied")
        assert (await _ran(site, 6))[2:] == [f"begin {first}", f"end {first}", f"begin {last}", f"end {last}"]
