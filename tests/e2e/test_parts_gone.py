"""P13: the worst case is a poller. Each part goes away in turn, as it would: killed, or not answering any more.

What runs keeps running, drift is undone, a push is found by looking, and when the part is back every announced
commit has its word.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
import yaml

from bellpull.cli.demo.git_server import GitServer
from bellpull.cli.demo.program import Program
from bellpull.cli.demo.repository import NOWHERE, Push
from bellpull.cli.demo.world import World, world
from tests.e2e.site import PATIENCE_S, Site, document, open_to_all, until
from tests.parts.git import Repository

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PACE: Final = {"interval": "1s", "retryInterval": "1s", "timeout": "2s"}


class Git:
    """A Git server that can go away, and be back at the same address."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._port = 0
        self._stack = AsyncExitStack()
        self.url = ""

    async def start(self) -> None:
        """Serve."""
        server = await self._stack.enter_async_context(GitServer(self._root, port=self._port))
        self._port, self.url = int(server.url.rpartition(":")[2]), server.url

    async def stop(self) -> None:
        """Be away."""
        await self._stack.aclose()


class Parts:
    """Gateway, agent and Git server, and a Sync whose push and page are looked at."""

    def __init__(self, made: World, git: Git) -> None:
        self.gateway, self.agent, self.git = made.gateway, made.agent, git
        self.site = Site(made, "elsewhere")

    @asynccontextmanager
    async def without(self, *names: str) -> AsyncIterator[None]:
        """Take parts away, programs by SIGKILL, and bring them back."""
        for name in names:
            part = getattr(self, name)
            await (part.kill() if isinstance(part, Program) else part.stop())
        yield
        if "git" in names:
            await self.git.start()
        if "gateway" in names:
            await self.gateway.start("listening")
        if "agent" in names:
            await self.agent.start("hearing the gateway")

    async def undoes_drift(self) -> None:
        """Edit a served file, and see it as it was."""
        page = self.site.folder / "index.html"
        before = page.read_text()
        page.write_text("somebody was here")
        await self.site.shows(before)

    async def logs(self, text: str, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until the agent says so in its log."""

        async def look() -> bool:
            return text in self.agent.log.read_text()

        await until(look, lambda: f"the agent never said {text}", patience_s=patience_s)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parts(git_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    assert git_programs.name
    git = Git(tmp_path_factory.mktemp("git"))
    await git.start()

    def prepare(folder: Path, _: str) -> None:
        open_to_all(folder)
        file = folder / "web-1" / "syncs.yaml"
        file.write_text(f"{file.read_text()}\n---\n{yaml.safe_dump(document(git.url, 'elsewhere', **_PACE))}")

    async with world(prepare) as made:
        parts = Parts(made, git)
        parts.site.git = Repository(git._root, "sites/elsewhere", git.url)
        await parts.site.commit("first")
        await parts.site.shows("first")
        yield parts
    await git.stop()


async def test_without_the_gateway_a_push_is_found_by_looking_and_drift_is_undone(parts: Parts) -> None:
    """And the commit, announced by the provider's next try, has its word when the gateway is back."""
    async with parts.without("gateway"):
        push = await parts.site.commit("no gateway")
        await parts.site.shows("no gateway")
        await parts.undoes_drift()
    await parts.site.announce(push)
    await parts.site.word(push.after, "applied", "unchanged")


async def test_an_agent_that_starts_without_the_gateway_does_its_work(parts: Parts) -> None:
    """A machine that boots while the gateway is away is made what Git says, and its drift is undone."""
    async with parts.without("gateway"):
        await parts.agent.kill()
        await parts.site.commit("booted alone")
        await parts.agent.start('"running"')
        await parts.site.shows("booted alone")
        await parts.undoes_drift()


async def test_without_git_what_runs_stays_and_the_word_says_why(parts: Parts) -> None:
    """Drift is undone from the agent's own mirror. The commit is live when Git is back, with nobody's help."""
    async with parts.without("git"):
        push = await parts.site.commit("no Git")
        await parts.site.announce(push)
        said = await parts.site.word(push.after, "failed")
        assert parts.git.url in said["message"]
        assert parts.site.read() != "no Git"
        await parts.undoes_drift()
    await parts.site.shows("no Git")
    await parts.site.word(push.after, "applied")


async def test_without_git_and_gateway_what_runs_stays(parts: Parts) -> None:
    """Only the served folder and the agent are left: nothing changes but what is put right again."""
    async with parts.without("git", "gateway"):
        push = await parts.site.commit("nobody hears")
        await parts.undoes_drift()
        assert parts.site.read() != "nobody hears"
    await parts.site.shows("nobody hears")
    await parts.site.announce(push)
    await parts.site.word(push.after, "applied", "unchanged")


async def test_without_the_agent_what_runs_stays_and_nothing_is_green(parts: Parts) -> None:
    """The commit waits, open, for as long as the agent is away; it is live soon after the agent is back."""
    async with parts.without("agent"):
        before = parts.site.read()
        push = await parts.site.commit("agent away")
        await parts.site.announce(push)
        said = await parts.site.says(push.after)
        assert said is not None
        assert (said["final"], said["word"] in ("applied", "unchanged")) == (False, False)
        assert parts.site.read() == before
    await parts.site.shows("agent away")
    await parts.site.word(push.after, "applied", "unchanged")


async def test_after_all_of_it_was_away_and_its_webhook_was_lost_a_commit_is_live(parts: Parts) -> None:
    """P6: nothing hangs on the message; a start looks at everything."""
    async with parts.without("agent", "gateway", "git"):
        await parts.site.commit("all away")
        await asyncio.sleep(0.5)
    await parts.site.shows("all away")


async def test_after_its_branch_is_gone_what_runs_is_kept_as_it_was(parts: Parts) -> None:
    """The Sync stands at `rejected`, and still drift is undone (P8); a branch that is back is followed."""
    tip = parts.site.git.tip("main")
    assert tip is not None
    parts.site.git.delete_branch("main")
    await parts.site.announce(Push(before=tip, after=NOWHERE))
    await parts.logs("RefDeleted")
    await parts.undoes_drift()
    parts.site.git.branch("main", tip)
    await parts.site.commit("back again")
    await parts.site.shows("back again")


@pytest.mark.soak
async def test_a_webhook_that_is_gone_is_noticed_by_what_looks_find(parts: Parts) -> None:
    """R31: the gateway answers and ticks, and no event tells of a push; the next one that does ends it."""
    await parts.site.announce(await parts.site.commit("told"))
    await parts.site.shows("told")
    await asyncio.sleep(2.5)
    await parts.site.commit("untold")
    await parts.site.shows("untold")
    await parts.logs("no event told of it", patience_s=90)
    await parts.site.announce(await parts.site.commit("told again"))
    await parts.logs("heard again")
