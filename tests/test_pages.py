"""The tutorial and the how-to for GitHub, done as they are written; github.com is a Git server behind a proxy."""

import asyncio
from pathlib import Path

import pytest
import yaml

from gateway.app.config import load_config
from tests.console import Console, blocks, section
from tests.gateway.github import payload
from tests.gateway.process import deliver
from tests.github_com import github

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.usefixtures("free_ports", "git_programs")
async def test_the_tutorial(tmp_path: Path) -> None:
    """From nothing to a push that is live, with what goes wrong on the way; nothing is left running."""
    before, heading, after = (DOCS / "tutorial.md").read_text().replace("OWNER/NAME", "acme/site").partition("## 4.")
    assert heading
    async with github(tmp_path) as (repository, environment), Console.open(tmp_path, environment) as console:
        await asyncio.to_thread(repository.commit, {"index.html": b"hello\n"})
        await console.follow(before)
        await asyncio.to_thread(repository.commit, {"index.html": b"pushed\n"})
        await console.follow(heading + after)
        assert await console.type("jobs -r; ls") == await console.type("ls")


@pytest.mark.usefixtures("free_ports")
async def test_a_webhook_of_github(tmp_path: Path) -> None:
    """A ping by hand is answered and a red one listed as the page says; a second secret takes over from the first."""
    page = (DOCS / "how-to" / "github-webhook.md").read_text()
    async with Console.open(tmp_path, {}) as console:
        await console.type("bellpull init .")
        await console.type("bellpull gateway 2> gateway.log & sleep 3")
        await console.follow(section(page, "3. Try it without GitHub"))
        await console.follow(section(page, "When a delivery is red: what the gateway says"))
        await console.type("kill %1; wait")
        await console.follow(section(page, "Replace the secret"))
        await console.type("bellpull gateway 2> gateway.log & sleep 3")
        ping = section(page, "3. Try it without GitHub")
        await console.follow(ping)
        await console.follow(ping.replace("cat secrets/github", "cat secrets/github-2"))
    assert "secrets/github-2" in (tmp_path / "gateway.yaml").read_text()


def test_the_source_for_github_is_what_init_writes(tmp_path: Path) -> None:
    """But for the repositories, which everybody narrows."""
    *_, source = blocks((DOCS / "how-to" / "github-webhook.md").read_text(), "yaml")
    (tmp_path / "gateway.yaml").write_text(
        yaml.safe_dump({"installation": "a", "data": "d", "seal": {"key": {"env": "K"}}} | yaml.safe_load(source))
    )
    assert load_config(tmp_path / "gateway.yaml").sources[0].repositories == ("github.com/acme/*",)


@pytest.mark.usefixtures("free_ports")
async def test_agents_are_added_renewed_and_removed_while_the_gateway_runs(tmp_path: Path) -> None:
    async with Console.open(tmp_path, {}) as console:
        await console.type("bellpull init .")
        await console.type("bellpull gateway 2> gateway.log & sleep 3")
        await console.follow((DOCS / "how-to" / "agents.md").read_text())


@pytest.mark.usefixtures("free_ports")
async def test_a_backup_and_the_way_back_to_it(tmp_path: Path) -> None:
    """R10: what was accepted when it was made is there again, and what came after is told of as not known."""
    page = (DOCS / "how-to" / "look-after-the-journal.md").read_text().replace("/backup/", f"{tmp_path}/backup/")
    async with Console.open(tmp_path, {}) as console:
        await console.type("bellpull init . && mkdir backup")
        await console.type("bellpull gateway 2> gateway.log & sleep 3")
        await _push(tmp_path, "d1")
        await console.follow(section(page, "Back it up, and go back to a backup"))
        await _push(tmp_path, "d2")


async def _push(folder: Path, delivery: str) -> None:
    secret = (folder / "secrets" / "github").read_bytes().strip()
    hooks = "http://127.0.0.1:8080"
    answer = await asyncio.to_thread(deliver, hooks, payload(), secret=secret, delivery=delivery)
    assert (answer.status, list(answer.json())) == (202, ["events"])
