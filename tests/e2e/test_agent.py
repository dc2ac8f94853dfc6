"""One agent, one gateway and one Git server, as a user starts them; each test has a Sync of its own.

What is asked for is what a user sees: the page that is served, and the gateway's word for a commit.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from bellpull.cli.demo.git_server import GitServer
from bellpull.cli.demo.program import Program
from bellpull.cli.demo.repository import NOWHERE, Push
from bellpull.cli.demo.world import World, world
from bellpull.contract.text import CommitId
from tests.e2e.site import Site, document, open_to_all, until
from tests.parts.git import Repository

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SYNCS: Final[dict[str, dict[str, Any]]] = {
    "wrong": {"source": {"branch": "mian"}},
    "early": {},
    "rewritten": {},
    "gone": {},
    "readme": {},
    "foreign": {"timeout": "1s", "retryInterval": "1s"},
    "polled": {"interval": "1s"},
    "left": {"repository": "twins"},
    "right": {"repository": "twins", "source": {"path": "other"}},
    "restarted": {},
    "reverted": {},
    "mistyped": {"source": {"path": "./pubic"}},
    "forged": {},
}


def _prepare(folder: Path, git_url: str) -> None:
    open_to_all(folder)
    file = folder / "web-1" / "syncs.yaml"
    syncs = [document(git_url, name, **spec) for name, spec in _SYNCS.items()]
    file.write_text(f"{file.read_text()}\n---\n{yaml.safe_dump_all(syncs)}")
    for name in {spec.get("repository", name) for name, spec in _SYNCS.items()} | {"late"}:
        Repository(folder / "git", f"sites/{name}").commit(
            {"public/index.html": b"first", "other/index.html": b"1st"}
        )
    (folder / "web-1" / "foreign").mkdir()
    (folder / "web-1" / "foreign" / "somebody's").write_text("data")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(git_programs: Path) -> AsyncIterator[World]:
    assert git_programs.name
    async with world(_prepare) as made:
        for name in _SYNCS.keys() - {"wrong", "foreign", "mistyped"}:
            await Site(made, name, repository=_SYNCS[name].get("repository")).shows(
                "1st" if name == "right" else "first"
            )
        yield made


async def test_a_branch_that_is_not_there_is_said_and_nothing_is_made(running: World) -> None:
    """A Sync of a mistyped branch stands at `rejected: RefDeleted`, and its folder is not made."""
    site = Site(running, "wrong")

    async def look() -> bool:
        return running.agent.said("said", sync="default/wrong", word="rejected") > 0

    await until(look, lambda: "nothing was said")
    assert b"there is no branch mian, or no more; what runs is kept" in running.agent.log.read_bytes()
    assert await asyncio.to_thread(os.path.lexists, site.folder) is False


async def test_a_commit_announced_before_git_shows_it_is_waited_for(running: World) -> None:
    """The webhook overtakes the push by a second: `waiting`, then `applied`, and never an older commit for it."""
    site = Site(running, "early")
    draft = await site.commit("early", branch="draft")
    push = Push(before=site.git.tip("main") or "", after=draft.after)
    await site.announce(push)
    await site.word(push.after, "waiting")
    await asyncio.sleep(1)
    assert site.read() == "first"
    site.git.branch("main", push.after)
    assert (await site.word(push.after, "applied", "unchanged"))["word"] == "applied"
    assert site.read() == "early"


async def test_history_that_is_rewritten_is_followed(running: World) -> None:
    """After a forced push the new commit is live; the one it replaced is superseded by it, and not contained."""
    site = Site(running, "rewritten")
    old = await site.commit("old")
    new = await site.force(old, "new")
    await site.announce(old)
    await site.announce(new)
    await site.word(new.after, "applied", "unchanged")
    said = await site.word(old.after, "superseded")
    assert said["superseded_by"] == new.after

    async def is_known() -> bool:  # the gateway says it by itself first (R36); the agent asks Git, and says it after
        nonlocal said
        said = await site.word(old.after, "superseded")
        return said["contained"] is not None

    await until(is_known, lambda: "whether it is contained is not said")
    assert (said["superseded_by"], said["contained"]) == (new.after, False)
    assert site.read() == "new"


async def test_a_deleted_branch_ends_what_was_announced_for_it_and_keeps_what_runs(running: World) -> None:
    """P5: what was pending for a branch that is deleted ends as `rejected: RefDeleted`; the site stays."""
    site = Site(running, "gone")
    draft = await site.commit("never seen", branch="draft")
    pending = Push(before=site.git.tip("main") or "", after=draft.after)
    await site.announce(pending)
    await site.word(pending.after, "waiting")
    site.git.delete_branch("main")
    await site.announce(Push(before=pending.after, after=NOWHERE))
    said = await site.word(pending.after, "rejected", "superseded")
    assert (said["word"], "RefDeleted" in said["message"]) == ("rejected", True)
    assert site.read() == "first"


async def test_a_commit_outside_the_path_is_unchanged(running: World) -> None:
    """A commit that touches only the README is answered `unchanged`, and writes nothing."""
    site = Site(running, "readme")
    release = site.folder.readlink()
    commit = await site.announce(await site.commit("# Read me", path="README.md"))
    await site.word(commit, "unchanged")
    assert site.folder.readlink() == release


async def test_what_is_in_the_way_is_named_and_the_sync_heals_when_it_is_gone(running: World) -> None:
    """A foreign folder at the target is left alone and named; once it is moved away, the commit is applied."""
    site = Site(running, "foreign")
    commit = await site.announce(await site.commit("mine"))
    said = await site.word(commit, "failed")
    assert str(site.folder) in said["message"]
    assert "that bellpull did not make" in said["message"]
    assert site.read("somebody's") == "data"
    site.folder.rename(site.folder.with_name("moved-away"))
    await site.word(commit, "applied")
    assert site.read() == "mine"


async def test_without_the_gateway_the_agent_polls(running: World) -> None:
    """P13: with the gateway away a commit is found by looking, and its word is there when the gateway is back."""
    site = Site(running, "polled")
    await running.gateway.stop()
    push = await site.commit("polled")
    await site.shows("polled")
    await running.gateway.start("listening")
    await site.announce(push)
    await site.word(push.after, "applied", "unchanged")


async def test_a_forged_event_costs_a_look_and_no_more(running: World, tmp_path: Path) -> None:
    """P4: signed as it is, it names a commit that is not there and another server; Git decides, the agent's own."""
    site = Site(running, "forged")
    async with GitServer(tmp_path) as elsewhere:
        forger = replace(running, git_url=elsewhere.url, deliveries=1000)
        forged = Push(before=site.git.tip("main") or "", after="f" * 40)
        assert (await forger.deliver(forged, name="sites/forged")).status == 202
        await site.word(forged.after, "waiting")
        assert site.read() == "first"
        commit = await site.announce(await site.commit("real"))
        await site.shows("real")
        await site.word(commit, "applied")
        assert elsewhere.requests == 0


async def test_no_port_is_open_into_the_agents_machine(running: World) -> None:
    """P3: the agent has connections that it opened, and listens on nothing; the gateway, to compare, listens."""
    listening = {"agent": _listening(running.agent), "gateway": _listening(running.gateway)}
    assert (len(listening["agent"]), len(listening["gateway"])) == (0, 3), listening


def _listening(program: Program) -> set[str]:
    """Return the local addresses at which a program's process listens, of any protocol with ports."""
    assert program.process is not None
    proc = Path("/proc") / str(program.process.pid)
    opened = [str(entry.readlink()) for entry in (proc / "fd").iterdir()]
    inodes = {name.removeprefix("socket:[").rstrip("]") for name in opened if name.startswith("socket:")}
    rows = [
        (name, line.split())
        for name in ("tcp", "tcp6", "udp", "udp6")
        for line in (proc / "net" / name).read_text().splitlines()[1:]
    ]
    waits = {"tcp": "0A", "udp": "07"}
    return {f"{name} {row[1]}" for name, row in rows if row[9] in inodes and row[3] == waits[name[:3]]}


async def test_two_syncs_of_one_repository_each_answer(running: World) -> None:
    """A push is answered by both; each for the folder that it reads."""
    left, right = Site(running, "left", repository="twins"), Site(running, "right", repository="twins")
    commit = await left.announce(await left.commit("left"))
    await left.word(commit, "applied")
    await right.word(commit, "unchanged")
    assert (left.read(), right.read()) == ("left", "1st")


async def test_a_restart_makes_nothing_anew_and_misses_nothing(running: World) -> None:
    """A started agent writes nothing for what is unchanged, and makes what was pushed meanwhile."""
    site, other = Site(running, "restarted"), Site(running, "left", repository="twins")
    release = other.folder.readlink()
    await running.agent.stop()
    commit = await site.announce(await site.commit("meanwhile"))
    await running.agent.start("hearing the gateway")
    await site.word(commit, "applied", "unchanged")
    assert site.read() == "meanwhile"
    assert other.folder.readlink() == release


async def test_a_sync_that_is_added_while_the_agent_runs_is_picked_up(running: World) -> None:
    """No restart is needed for another document in the file; pushes to it are answered from then on."""
    site = Site(running, "late")
    file = running.agent.config.with_name("syncs.yaml")
    added = yaml.safe_dump(document(running.git_url, "late"))
    await asyncio.to_thread(file.write_text, f"{file.read_text()}\n---\n{added}")
    await site.shows("first")
    commit = await site.announce(await site.commit("second"))
    await site.word(commit, "applied")
    assert site.read() == "second"


async def test_a_mistyped_folder_is_a_failure_until_it_is_mended(running: World) -> None:
    """The commit is not to blame: once the Sync names the right folder, the same commit is `applied`."""
    site = Site(running, "mistyped")
    commit = await site.announce(await site.commit("there all along"))
    said = await site.word(commit, "failed")
    assert "PathGone: the commit has no folder pubic" in said["message"]
    file = running.agent.config.with_name("syncs.yaml")
    mended = (await asyncio.to_thread(file.read_text)).replace("./pubic", "./public")
    await asyncio.to_thread(file.write_text, mended)
    await site.shows("there all along")
    await site.word(commit, "applied")


async def test_a_revert_is_a_deployment_like_any_other(running: World) -> None:
    """A commit that restores what was there before is `applied`, and the page is as it was."""
    site = Site(running, "reverted")
    bad = await site.announce(await site.commit("bad"))
    await site.word(bad, "applied")
    revert = await site.commit("first")
    assert site.git.git("rev-parse", f"{CommitId(revert.after)}^") == bad
    await site.announce(revert)
    await site.word(revert.after, "applied")
    assert site.read() == "first"
