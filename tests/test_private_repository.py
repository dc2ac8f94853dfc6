"""The how-to for private repositories, done as it is written: a token over HTTPS, a deploy key over SSH."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bellpull.cli.demo.git_server import GitServer
from tests.console import Console, blocks, section
from tests.parts.git import Repository
from tests.parts.sshd import KeyPair, Sshd

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "private-repository.md").read_text()
TOKEN = "a-token-that-can-read"
(SECRETS, BY_HTTPS, BY_SSH) = (yaml.safe_load(block) for block in blocks(PAGE, "yaml"))


async def configured(console: Console, folder: Path, source: Mapping[str, Any], url: str) -> None:
    """Make an agent in `web-1`, have it read `url` as the page says, and go there."""
    await console.type("bellpull init .")
    await console.type(f"bellpull enroll web-1 --repository {url}")
    await asyncio.to_thread(_configure, folder / "web-1", source, url)
    await console.type("cd web-1")


def _configure(folder: Path, source: Mapping[str, Any], url: str) -> None:
    config, sync = folder / "agent.yaml", folder / "syncs.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | SECRETS))
    document = yaml.safe_load(sync.read_text())
    document["spec"]["source"] |= source["spec"]["source"] | {"url": url, "branch": "main"}
    document["spec"]["source"].pop("path", None)
    sync.write_text(yaml.safe_dump(document))


async def test_a_token_by_https(git_programs: Path, tmp_path: Path) -> None:
    assert git_programs.name
    repository = await asyncio.to_thread(Repository, tmp_path / "git")
    await asyncio.to_thread(repository.commit, {"index.html": b"hello\n"})
    way = section(PAGE, "A token, by HTTPS").replace("read -rs TOKEN", "read -rs TOKEN < ../token")
    await asyncio.to_thread((tmp_path / "token").write_text, f"{TOKEN}\n")
    async with (
        GitServer(tmp_path / "git", username="bellpull", password=TOKEN) as server,
        Console.open(tmp_path, {}) as console,
    ):
        await configured(console, tmp_path, BY_HTTPS, f"{server.url}/acme/site.git")
        await console.follow(way)
        await console.follow(section(PAGE, "Try it"))


async def test_a_deploy_key_by_ssh(sshd: Sshd, tmp_path: Path) -> None:
    repository = await asyncio.to_thread(Repository, tmp_path / "git", server=sshd.url)
    await asyncio.to_thread(repository.commit, {"index.html": b"hello\n"})
    way = section(PAGE, "A deploy key, by SSH").replace(
        "keyscan git.example.com", f"keyscan -p {sshd.port} 127.0.0.1"
    )
    async with Console.open(tmp_path, {}) as console:
        await configured(console, tmp_path, BY_SSH, repository.url)
        await console.follow(way.replace("git.example.com", f"[127.0.0.1]:{sshd.port}"))
        public = await asyncio.to_thread((tmp_path / "web-1/secrets/site/identity.pub").read_text)
        await asyncio.to_thread(sshd.authorize, KeyPair(private=b"", public=public.strip()))
        await console.follow(section(PAGE, "Try it"))
