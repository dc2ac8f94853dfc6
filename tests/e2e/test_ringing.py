"""What a gateway causes that rings for nothing (R29), and what an agent does that is not told (R15, R31)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import pytest
import pytest_asyncio
import yaml

from agent.core.fruitless import BURST, EVERY
from bellpull.cli.demo.git_server import GitServer
from bellpull.cli.demo.repository import Push
from bellpull.cli.demo.world import World, world
from tests.e2e.site import Site, document, until
from tests.parts.git import Repository

pytestmark = pytest.mark.asyncio(loop_scope="module")

_RINGS: Final = 500
_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Place:
    """A world with two Syncs of a Git server of their own: `rung`, and `unheard`, which the record does not name."""

    world: World
    server: GitServer
    rung: Site
    unheard: Site

    def record(self, *repositories: str) -> None:
        """Have the agent's record name these."""
        path = self.world.folder / "agents" / "web-1.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"repositories": list(repositories)}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(git_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    assert git_programs.name
    root = tmp_path_factory.mktemp("git")
    async with GitServer(root) as server:

        def prepare(folder: Path, _: str) -> None:
            config, record = folder / "gateway.yaml", folder / "agents" / "web-1.yaml"
            settings, enrolment = yaml.safe_load(config.read_text()), yaml.safe_load(record.read_text())
            settings["sources"][0]["repositories"] = ["127.0.0.1/*/*"]
            enrolment["repositories"] = ["127.0.0.1/demo/site", "127.0.0.1/sites/rung"]
            config.write_text(yaml.safe_dump(settings))
            record.write_text(yaml.safe_dump(enrolment))
            file = folder / "web-1" / "syncs.yaml"
            syncs = [document(server.url, name) for name in ("rung", "unheard")]
            file.write_text(f"{file.read_text()}\n---\n{yaml.safe_dump_all(syncs)}")
            for name in ("rung", "unheard"):
                Repository(root, f"sites/{name}", server.url).commit({"public/index.html": b"first"})

        async with world(prepare) as made:
            sites = [Site(made, name) for name in ("rung", "unheard")]
            for site in sites:
                site.git = Repository(root, f"sites/{site.name}", server.url)
                await site.shows("first")
            yield Place(made, server, *sites)


async def _ring(site: Site, push: Push, times: int) -> None:
    """Deliver a push again and again, each time as another delivery."""
    left = iter(range(times))

    async def ring() -> None:
        for _ in left:
            await site.announce(push)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(ring())


async def test_ringing_for_nothing_costs_few_looks_and_holds_up_no_push(place: Place) -> None:
    """R29, P4: however often a commit is announced that does not exist, the Git server is asked a few times.

    A real push in between is live about as soon as ever, also though the commit that is awaited is another.
    """
    site, server = place.rung, place.server
    forged = Push(before="e" * 40, after="f" * 40)
    begun, before = monotonic(), server.requests
    await _ring(site, forged, _RINGS // 2)
    real = await site.commit("real")
    await site.announce(real)
    pushed = monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_ring(site, forged, _RINGS // 2))
        await site.shows("real")
        live_s = monotonic() - pushed
    await site.word(real.after, "applied", "unchanged")
    looks = server.requests - before
    allowed = BURST + (monotonic() - begun) / EVERY.total_seconds()
    of_the_push = 10  # its look, its fetch, and asking how it stands to what is awaited: 50, then 1,000 deep
    assert looks <= allowed + of_the_push, f"{looks} requests for {_RINGS} rings"
    assert live_s < 3 * (EVERY.total_seconds() + 1)


async def test_a_repository_that_is_added_to_the_record_is_looked_at_at_once(place: Place) -> None:
    """R31: until then its Sync polls each minute, and the log says why. R15: also though all was just looked at."""
    agent, site = place.world.agent, place.unheard
    every = "not heard: polling every 60 s"

    async def says(event: str, **members: object) -> None:
        async def look() -> bool:
            return agent.said(event, **members) > 0

        await until(look, lambda: f"the agent never said {event}")

    await says(every, syncs=["default/unheard"])
    await place.world.gateway.kill()
    await place.world.gateway.start("listening")
    await says("looking again", reason="the stream was interrupted")
    await site.commit("while nobody said so")
    await asyncio.to_thread(place.record, "127.0.0.1/demo/site", "127.0.0.1/sites/*")
    await site.shows("while nobody said so")
    await says("looking at once", syncs=["default/unheard"])
    await says("heard again", syncs=["default/unheard"])
    commit = await site.announce(await site.commit("now heard"))
    await site.word(commit, "applied")
