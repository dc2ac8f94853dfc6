"""The README's first steps, run as they are written."""

import asyncio
from pathlib import Path
from time import monotonic, sleep

import aiohttp
import pytest

from bellpull.cli.demo.repository import Push, sign
from tests.console import Console, section
from tests.github_com import github

README = Path(__file__).parent.parent / "README.md"


def test_the_first_screen_says_what_it_is() -> None:
    """One sentence, the demo's output, who holds what, the two commands: within the first fifty lines."""
    screen = "\n".join(README.read_text().splitlines()[:50])

    for part in ("$ make demo", "never holds", "$ make test", "live", "the gateway was killed"):
        assert part in screen


@pytest.mark.usefixtures("free_ports", "git_programs")
async def test_your_own_repository_in_three_minutes(tmp_path: Path) -> None:
    """As written, but for OWNER/NAME; github.com is a real Git server behind a proxy, with a certificate."""
    text = section(README.read_text(), "Your own repository in three minutes").replace("OWNER/NAME", "acme/site")
    async with github(tmp_path) as (repository, environment), Console.open(tmp_path, environment) as console:
        before = await asyncio.to_thread(repository.commit, {"index.html": b"hello\n"})
        await console.follow(text)
        assert "index.html" in await console.type("ls web-1/site/")
        after = await asyncio.to_thread(repository.commit, {"index.html": b"pushed\n"})
        await ring(Push(before=before, after=after), tmp_path / "bell")


async def ring(push: Push, bell: Path) -> None:
    """Deliver the webhook as GitHub would, and wait until the site shows the push."""
    body = push.body("https://github.com/acme/site.git", "acme/site")
    secret = await asyncio.to_thread((bell / "secrets" / "github").read_bytes)
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": sign(secret.strip(), body),
    }
    url = "http://127.0.0.1:8080/hooks/github"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        assert response.status == 202
    await asyncio.to_thread(until_it_is, bell / "web-1" / "site" / "index.html", b"pushed\n")


def until_it_is(page: Path, content: bytes) -> None:
    end = monotonic() + 20
    while page.read_bytes() != content:
        assert monotonic() < end, "the push was not live within 20 s"
        sleep(0.05)
