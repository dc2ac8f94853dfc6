"""A command after a change and the guard, with a real agent: what a user sees of both when things go wrong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from bellpull.cli.demo.repository import NOWHERE, Push
from bellpull.cli.demo.world import World, world
from tests.e2e.site import Site, document, open_to_all, until
from tests.parts.git import Repository

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SCRIPT: Final = """
echo "begin $BELLPULL_COMMIT" >> "$BELLPULL_PATH.ran"
test ! -e "$BELLPULL_PATH.slow" || sleep 1.5
test ! -e "$BELLPULL_PATH.broken" || { echo "the end of it"; exit 7; }
echo "end $BELLPULL_COMMIT" >> "$BELLPULL_PATH.ran"
"""
_SYNCS: Final[dict[str, dict[str, Any]]] = {
    "fails": {"timeout": "1s", "retryInterval": "1s", "reportOutput": True},
    "drifts": {"timeout": "1s", "retryInterval": "1s"},
    "queued": {},
    "reloaded": {},
    "stopped": {},
    "killed": {},
    "guarded": {"source": {"path": ""}},
}
_PAGES: Final = {f"public/page{number}.html": b"page" for number in range(20)}


def _document(git_url: str, name: str, **spec: Any) -> dict[str, Any]:
    command = {"command": ["sh", "-c", _SCRIPT], "timeout": "20s"}
    made = document(git_url, name, **(_SYNCS[name] | spec))
    made["spec"]["target"]["directory"]["onChange"] = command
    return made


def _write(folder: Path, git_url: str, **specs: dict[str, Any]) -> None:
    file = folder / "web-1" / "syncs.yaml"
    first = file.read_text().split("\n---\n")[0]
    syncs = [_document(git_url, name, **specs.get(name, {})) for name in _SYNCS]
    file.write_text(f"{first}\n---\n{yaml.safe_dump_all(syncs)}")


def _prepare(folder: Path, git_url: str) -> None:
    open_to_all(folder)
    _write(folder, git_url)
    for name in _SYNCS:
        Repository(folder / "git", f"sites/{name}").commit({"public/index.html": b"first"} | _PAGES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(git_programs: Path) -> AsyncIterator[World]:
    assert git_programs.name
    async with world(_prepare) as made:
        for name in _SYNCS:
            await notes(Site(made, name), 2)
        yield made


def ran(site: Site) -> list[str]:
    try:
        return site.folder.with_suffix(".ran").read_text().splitlines()
    except FileNotFoundError:
        return []


async def notes(site: Site, count: int) -> None:
    async def look() -> bool:
        return len(ran(site)) >= count

    await until(look, lambda: f"{site.name}: {ran(site)}")


async def test_a_commit_whose_command_fails_is_failed_and_heals(running: World) -> None:
    """P5: `applied` is said after the command ended well; then `failed` with exit code and output."""
    site = Site(running, "fails")
    broken = site.folder.with_suffix(".broken")
    broken.touch()
    commit = await site.announce(await site.commit("second"))
    said = await site.word(commit, "failed", "applied", "unchanged")
    assert (said["word"], said["message"]) == ("failed", "CommandFailed: sh ended with exit code 7: the end of it")
    assert site.read() == "second"
    assert running.agent.said("drift is undone", sync="default/fails") == 0
    broken.unlink()
    await site.word(commit, "applied")
    assert ran(site)[-1] == f"end {commit}"
    assert ran(site).count(f"end {commit}") == 1


async def test_a_drift_undone_runs_it_and_says_where_it_failed(running: World) -> None:
    """P8: what is on disk is mended at once; the command is tried until it ends well, and then all is well again."""
    site = Site(running, "drifts")
    commit = site.git.tip("main") or ""
    broken = site.folder.with_suffix(".broken")
    broken.touch()
    (site.folder / "index.html").write_text("drift")
    await site.shows("first")

    async def failed() -> bool:
        return running.agent.said("said", sync="default/drifts", word="failed") > 0

    await until(failed, lambda: str(ran(site)))
    broken.unlink()
    await notes(site, len(ran(site)) + 2)

    async def applied() -> bool:
        return running.agent.said("said", sync="default/drifts", word="applied", commit=commit) > 1

    await until(applied, lambda: running.agent.log.read_text()[-2000:])
    assert ran(site)[-1] == f"end {commit}"


async def test_a_newer_commit_waits_until_the_command_has_ended(running: World) -> None:
    site = Site(running, "queued")
    site.folder.with_suffix(".slow").touch()
    first = await site.announce(await site.commit("second"))
    await notes(site, 3)
    second = await site.announce(await site.commit("third"))
    await site.word(second, "applied")
    assert ran(site)[2:] == [f"begin {first}", f"end {first}", f"begin {second}", f"end {second}"]


async def test_a_reload_of_the_sync_files_does_not_interrupt_it(running: World) -> None:
    site = Site(running, "reloaded")
    site.folder.with_suffix(".slow").touch()
    commit = await site.announce(await site.commit("second"))
    await notes(site, 3)
    await asyncio.to_thread(_write, running.folder, running.git_url, reloaded={"interval": "4m"})
    await site.word(commit, "applied", "unchanged")
    assert ran(site)[2:] == [f"begin {commit}", f"end {commit}"]


async def test_an_agent_that_is_stopped_lets_it_end(running: World) -> None:
    """SIGTERM: the command may finish, and is not run again after the start."""
    site = Site(running, "stopped")
    site.folder.with_suffix(".slow").touch()
    commit = await site.announce(await site.commit("second"))
    await notes(site, 3)
    await running.agent.stop()
    assert ran(site)[2:] == [f"begin {commit}", f"end {commit}"]
    await running.agent.start("hearing the gateway")
    await site.word(commit, "applied", "unchanged")
    assert len(ran(site)) == 4


async def test_an_agent_that_is_killed_runs_it_again(running: World) -> None:
    """At least once: whatever became of the first run, after the start it runs, and only then is it `applied`."""
    site = Site(running, "killed")
    slow = site.folder.with_suffix(".slow")
    slow.touch()
    commit = await site.announce(await site.commit("second"))
    await notes(site, 3)
    await running.agent.kill()
    slow.unlink()
    await running.agent.start("hearing the gateway")
    await site.word(commit, "applied", "unchanged")
    assert ran(site)[2:].count(f"begin {commit}") == 2


async def test_a_commit_that_empties_the_folder_is_rejected_until_it_is_accepted(running: World) -> None:
    """P9, R28: nothing is written; a later harmless push goes through; the Sync's file names the one that may."""
    site = Site(running, "guarded")
    files: dict[str, bytes | None] = {"public/index.html": None, **dict.fromkeys(_PAGES)}
    before = Push(
        before=site.git.tip("main") or NOWHERE,
        after=await asyncio.to_thread(site.git.commit, files | {"public/keep": b""}),
    )
    said = await site.word(await site.announce(before), "rejected", "applied")
    assert (said["word"], said["message"].split(" (")[0]) == ("rejected", "MassDeletion: 21 of 21 files would go")
    assert site.read("public/index.html") == "first"
    assert len(ran(site)) == 2
    back = await asyncio.to_thread(site.git.commit, {"public/index.html": b"back", **_PAGES})
    await site.word(await site.announce(Push(before=before.after, after=back)), "applied")
    empty = await asyncio.to_thread(site.git.commit, files | {"public/keep": None})
    said = await site.word(await site.announce(Push(before=back, after=empty)), "rejected", "applied")
    assert said["message"].startswith("EmptySource: the folder has no files, and 22 are live; nothing was written.")
    assert site.read("public/index.html") == "back"
    await asyncio.to_thread(_write, running.folder, running.git_url, guarded={"guard": {"accept": empty}})

    async def gone() -> bool:
        return site.folder.is_dir() and not list(site.folder.iterdir())

    await until(gone, lambda: running.agent.log.read_text()[-2000:])
    said = await site.word(empty, "applied")
    assert (said["final"], said["message"]) == (True, ""), "who asks what became of that push is told it was applied"
