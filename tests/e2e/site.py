"""One Sync of a world: its repository, its folder, and what the gateway answers of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final

import yaml

from bellpull.cli.demo.repository import NOWHERE, Push
from bellpull.cli.demo.world import World
from bellpull.contract.text import CommitId
from tests.parts.git import Repository

__all__ = ["PATIENCE_S", "Site", "document", "open_to_all", "until"]

PATIENCE_S: Final = 20.0


class Site:
    """The Sync `default/NAME`, of the folder `public` of the repository `sites/NAME` (or another's)."""

    def __init__(self, world: World, name: str, *, repository: str | None = None) -> None:
        self.world = world
        self.name = name
        self.folder = world.folder / "web-1" / name
        self._repository = f"sites/{repository or name}"
        self.git = Repository(world.folder / "git", self._repository, world.git_url)

    async def commit(self, content: str, *, path: str = "public/index.html", branch: str = "main") -> Push:
        """Commit a file, as a push; no webhook yet."""
        before = self.git.tip(branch)
        after = await asyncio.to_thread(self.git.commit, {path: content.encode()}, branch=branch)
        return Push(before=before or NOWHERE, after=after, ref=f"refs/heads/{branch}")

    async def force(self, push: Push, content: str) -> Push:
        """Commit on top of what was before `push`, in its place."""
        after = await asyncio.to_thread(
            self.git.commit, {"public/index.html": content.encode()}, parent=CommitId(push.before)
        )
        return Push(before=push.after, after=after, forced=True)

    async def announce(self, push: Push) -> str:
        """Deliver its webhook, and return the commit."""
        assert (await self.world.deliver(push, name=self._repository)).status == 202
        return push.after

    async def word(self, commit: str, *words: str) -> dict[str, Any]:
        """Wait until this Sync's word for a commit is one of these, and return all that is said of it."""
        said: dict[str, Any] | None = None

        async def look() -> bool:
            nonlocal said
            said = await self.says(commit)
            return said is not None and said["word"] in words

        await until(look, lambda: f"{self.name}: {commit} is {said}, not {words}")
        assert said is not None
        return said

    async def says(self, commit: str) -> dict[str, Any] | None:
        """Return what this Sync says of a commit now."""
        async with self.world.session.get(f"{self.world.console_url}/api/v1/commits/{commit}") as response:
            if response.status == 404:
                return None
            announcement = (await response.json())["announcements"][0]
        return next((sync for sync in announcement["syncs"] if sync["sync"] == f"default/{self.name}"), None)

    async def shows(self, content: str) -> None:
        """Wait until the served folder has this page."""

        async def look() -> bool:
            return self.read() == content

        await until(look, lambda: f"{self.name}: the page is {self.read()!r}, not {content!r}")

    def read(self, name: str = "index.html") -> str | None:
        """Return what the served folder has."""
        try:
            return (self.folder / name).read_text()
        except OSError:
            return None


async def until(look: Callable[[], Any], says: Callable[[], str], *, patience_s: float = PATIENCE_S) -> None:
    """Look until it is so."""
    end = monotonic() + patience_s
    while not await look():
        assert monotonic() < end, says()
        await asyncio.sleep(0.01)


def document(git_url: str, name: str, *, repository: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return the Sync `default/NAME`."""
    source = {"url": f"{git_url}/sites/{repository or name}.git", "branch": "main", "path": "./public"}
    return {
        "apiVersion": "bellpull.dev/v1alpha1",
        "kind": "Sync",
        "metadata": {"name": name},
        "spec": {"source": source | spec.pop("source", {}), "target": {"directory": {"path": name}}} | spec,
    }


def open_to_all(folder: Path) -> None:
    """Let every repository of the host in and out."""
    config, record = folder / "gateway.yaml", folder / "agents" / "web-1.yaml"
    settings, enrolment = yaml.safe_load(config.read_text()), yaml.safe_load(record.read_text())
    settings["sources"][0]["repositories"] = enrolment["repositories"] = ["127.0.0.1/*/*"]
    config.write_text(yaml.safe_dump(settings))
    record.write_text(yaml.safe_dump(enrolment))
