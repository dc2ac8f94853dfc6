"""Nothing secret is in logs, errors, journal, state, answers or what travels: it is searched for, everywhere."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
import pytest_asyncio
import yaml

from bellpull.cli.demo.repository import Push
from bellpull.cli.demo.steps import STEPS
from bellpull.cli.demo.world import World, world
from tests.e2e.site import until
from tests.parts.git import run as git

pytestmark = pytest.mark.asyncio(loop_scope="module")

_USER: Final = "deploy-reader"
_PASSWORD: Final = "correct-horse/battery+staple=1"


def _with_credentials(folder: Path, _: str) -> None:
    """Have the agent read the repository with a user name and a password."""
    home = folder / "web-1"
    config, syncs = home / "agent.yaml", home / "syncs.yaml"
    settings, sync = yaml.safe_load(config.read_text()), yaml.safe_load(syncs.read_text())
    settings["secrets"] = "./secrets"
    sync["spec"]["source"]["secretRef"] = {"name": "site-git"}
    config.write_text(yaml.safe_dump(settings))
    syncs.write_text(yaml.safe_dump(sync))
    secret = home / "secrets" / "site-git"
    secret.mkdir(parents=True, mode=0o700)
    (secret / "username").write_text(f"{_USER}\n")
    (secret / "password").write_text(f"{_PASSWORD}\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lived(git_programs: Path) -> AsyncIterator[World]:
    """A world in which everything of the demo happened, and what goes wrong with credentials besides."""
    assert git_programs.name
    async with world(_with_credentials, username=_USER, password=_PASSWORD) as made:
        for step in STEPS:
            await step.run(made)
        await _go_wrong(made)
        yield made


async def _go_wrong(made: World) -> None:
    """Secrets in the wrong places: a wrong password, tokens and signatures that are nearly right, a bad body."""
    password = made.folder / "web-1" / "secrets" / "site-git" / "password"
    await asyncio.to_thread(password.write_text, f"{_PASSWORD}x\n")
    push = await made.push({"index.html": "no way in\n"}, "No way in")
    await made.deliver(push)
    await _until_refused(made, push)
    await asyncio.to_thread(password.write_text, f"{_PASSWORD}\n")
    token = (made.folder / "web-1" / "token").read_text().strip()
    for bearer in (token[:-1], f"{token}x", token.upper(), made.secret.decode()):
        async with made.session.get(
            f"{made.agents_url}/v1/events", headers={"Authorization": f"Bearer {bearer}"}
        ) as refused:
            assert refused.status == 401
    for header in (made.secret.decode(), f"sha256={made.secret.decode()}"):
        async with made.session.post(
            f"{made.hooks_url}?secret={made.secret.decode()}",
            data=made.secret,
            headers={"Content-Type": "application/json", "X-Hub-Signature-256": header, "X-GitHub-Event": token},
        ) as refused:
            assert refused.status == 401
            assert made.secret not in await refused.read()


async def _until_refused(made: World, push: Push) -> None:
    """Wait until the agent has said that Git did not let it in."""
    said: dict[str, Any] = {}

    async def look() -> bool:
        said.update((await made.answer(push.after, final=False))["syncs"][0])
        return bool(said["word"] == "failed")

    await until(look, lambda: f"it is {said}")


def _forms(secret: bytes) -> dict[str, bytes]:
    """Return how a secret might be written."""
    return {
        "itself": secret,
        "in base64": b64encode(secret).rstrip(b"=")[:-1],
        "in hex": secret.hex().encode(),
        "as JSON": orjson.dumps(secret.decode())[1:-1].replace(b"/", b"\\/"),
    }


def _secrets(made: World) -> dict[str, bytes]:
    """Return everything that nobody else may know."""
    basic = b64encode(f"{_USER}:{_PASSWORD}".encode())
    keys = {"sealing key": made.folder / "secrets" / "seal.jwk", "report key": made.folder / "web-1" / "report.jwk"}
    token = (made.folder / "web-1" / "token").read_bytes().strip()
    return {
        "webhook secret": made.secret,
        "agent token": token.rsplit(b"_", 1)[-1],
        "Git password": _PASSWORD.encode(),
        "Git authorization": basic,
        **{name: orjson.loads(path.read_bytes())["d"].encode() for name, path in keys.items()},
    }


def _found(made: World, places: dict[str, bytes]) -> list[str]:
    return [
        f"the {what} {how} is in {where}"
        for where, data in places.items()
        for what, secret in _secrets(made).items()
        for how, form in _forms(secret).items()
        if form in data
    ]


async def test_the_search_finds_each_secret_in_each_form(lived: World) -> None:
    """What finds nothing has to be able to find something."""
    for secret in _secrets(lived).values():
        for form in _forms(secret).values():
            assert len(secret) >= 20
            assert _found(lived, {"here": b"> " + form + b" <"})


async def test_no_secret_is_in_what_is_written(lived: World) -> None:
    """Logs, journal and state of the gateway with their write-ahead logs, the agent's state, mirrors and releases."""
    written = await asyncio.to_thread(_written, lived.folder)
    names = {Path(name).name for name in written}
    assert {"gateway.log", "agent.log", "journal.db", "journal.db-wal", "state.db", "state.db-wal"} <= names
    assert any("/state/mirrors/" in name for name in written)
    assert _found(lived, written) == []


def _written(folder: Path) -> dict[str, bytes]:
    places = [
        *folder.glob("*.log"),
        *(folder / "agents").rglob("*"),
        *(folder / "data").rglob("*"),
        *(folder / "web-1" / "state").rglob("*"),
    ]
    places += [*(folder / "web-1").glob(".site*/**/*"), *(folder / "web-1" / "site").rglob("*")]
    return {str(path): path.read_bytes() for path in places if path.is_file()}


async def test_no_secret_is_in_what_is_answered(lived: World) -> None:
    """The console's answers for every commit that was ever pushed, its metrics, and its health."""
    commits = await asyncio.to_thread(
        git, "--git-dir", str(lived.folder / "git" / "demo" / "site.git"), "log", "--format=%H"
    )
    paths = [f"/api/v1/commits/{commit}" for commit in commits.splitlines()] + ["/metrics", "/healthz", "/readyz"]
    answers = {}
    for path in paths:
        async with lived.session.get(f"{lived.console_url}{path}") as response:
            answers[path] = await response.read()
    assert b"applied" in b"".join(answers.values())
    assert _found(lived, answers) == []


async def test_no_secret_is_in_what_travels_to_the_agent(lived: World) -> None:
    """The whole stream from its beginning, as bytes: everything that was ever announced."""
    token = (lived.folder / "web-1" / "token").read_text().strip()
    events = await _stream(lived, token)
    assert len(re.findall(rb"^event: message$", events, re.MULTILINE)) > 15
    assert _found(lived, {"the stream": events}) == []


async def _stream(lived: World, token: str) -> bytes:
    """Return what a raw GET gives from the journal's first row on, up to the first tick."""
    reset = await _until_tick(lived, {"Authorization": f"Bearer {token}"})
    epoch = re.search(rb"^id: ([a-z0-9]+)\.", reset, re.MULTILINE)
    assert epoch is not None
    return await _until_tick(lived, {"Authorization": f"Bearer {token}", "Last-Event-ID": f"{epoch[1].decode()}.0"})


async def _until_tick(lived: World, headers: dict[str, str]) -> bytes:
    came = b""
    timeout = aiohttp.ClientTimeout(total=20)
    async with lived.session.get(f"{lived.agents_url}/v1/events", headers=headers, timeout=timeout) as response:
        assert response.status == 200
        async for chunk in response.content.iter_any():
            came += chunk
            if b"event: tick" in came:
                break
    return came
