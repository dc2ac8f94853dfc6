"""The demo's world: a Git server, a gateway and an agent as processes of their own, all on loopback.

It is set up as a user would: `bellpull init`, `bellpull enroll`, then both programs; nothing here reaches into
them. What the demo knows it has from the outside: answers over HTTP, files in the served folder, exit codes.
"""

import asyncio
import contextlib
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, ParamSpec, TypeVar

import aiohttp
import orjson
import yaml

from bellpull.cli.demo.git_server import GitServer
from bellpull.cli.demo.place import Place
from bellpull.cli.demo.program import Program, WorldError, tail
from bellpull.cli.demo.repository import Push, Repository, sign
from bellpull.cli.demo.served import FolderServed, Served

__all__ = ["Delivery", "World", "world"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_NAME: Final = "demo/site"
_PATIENCE_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the gateway answered a webhook, and when it was sent (monotonic clock)."""

    status: int
    events: tuple[str, ...]
    sent: float


@dataclass(slots=True, kw_only=True)
class World:
    """Everything the steps act on."""

    folder: Path
    site: Path
    repository: Repository
    git_url: str
    served: Served
    hooks_url: str
    agents_url: str
    console_url: str
    secret: bytes = field(repr=False)
    gateway: Program
    agent: Program
    session: aiohttp.ClientSession
    deliveries: int = 0

    @property
    def clone_url(self) -> str:
        """URL of the repository."""
        return f"{self.git_url}/{_NAME}.git"

    async def push(self, pages: Mapping[str, str | None], message: str) -> Push:
        """Commit these pages (None is one that goes), and push; no webhook yet."""
        return await _whole(self.repository.push, self.served.written(pages), message)

    async def revert(self) -> Push:
        """Revert the last commit and push."""
        return await _whole(self.repository.revert)

    async def deliver(self, push: Push, *, name: str = _NAME, secret: bytes | None = None) -> Delivery:
        """Send the webhook of `push` to the repository `name`, with the right secret unless told otherwise."""
        body = push.body(f"{self.git_url}/{name}.git", name)
        self.deliveries += 1
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": f"demo-{self.deliveries}",
            "X-Hub-Signature-256": sign(self.secret if secret is None else secret, body),
        }
        sent = monotonic()
        async with self.session.post(self.hooks_url, data=body, headers=headers) as response:
            answer = await response.read()
            events = orjson.loads(answer)["events"] if response.status == 202 else []
            return Delivery(status=response.status, events=tuple(events), sent=sent)

    async def shows(self, name: str, content: str) -> float:
        """Wait until the page `name` says `content`; return when (monotonic clock)."""
        end = monotonic() + _PATIENCE_S
        while monotonic() < end:
            if await self.served.read(name) == content:
                return monotonic()
            await asyncio.sleep(0.002)
        logs = f"{tail(self.gateway.log)}\n{tail(self.agent.log)}"
        raise WorldError(f"{name} did not become {content!r} within {_PATIENCE_S:.0f} s\n{logs}")

    async def gone(self, name: str) -> float:
        """Wait until there is no page `name`; return when (monotonic clock)."""
        end = monotonic() + _PATIENCE_S
        while await self.served.read(name) is not None:
            if monotonic() > end:
                raise WorldError(f"{name} was still there after {_PATIENCE_S:.0f} s")
            await asyncio.sleep(0.002)
        return monotonic()

    async def answer(self, commit: str, *, final: bool = True) -> dict[str, Any]:
        """Return the gateway's newest announcement of `commit`, once its Sync has ended it (or been heard)."""
        url = f"{self.console_url}/api/v1/commits/{commit}"
        end = monotonic() + _PATIENCE_S
        while monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.get(url) as response:
                    if response.status == 200:
                        announcement: dict[str, Any] = (await response.json())["announcements"][0]
                        if announcement["syncs"] and (announcement["syncs"][0]["final"] or not final):
                            return announcement
            await asyncio.sleep(0.02)
        raise WorldError(f"the gateway has no final word for {commit}\n{tail(self.agent.log)}")


@asynccontextmanager
async def world(
    prepare: Callable[[Path, str], None] | None = None,
    *,
    username: str | None = None,
    password: str | None = None,
    place: Place | None = None,
    served: Served | None = None,
) -> AsyncIterator[World]:
    """Set everything up below a temporary folder, and take it down again.

    Args:
        prepare: is given the folder and the Git server's URL before the programs start, to change their files.
        username: if given, the Git server asks for this user and `password`.
        password: of the user.
        place: where in RabbitMQ, if that is to be between gateway and agent.
        served: where pages are served from; a folder on this machine unless told otherwise.

    Raises:
        WorldError, GitServerError: it cannot be set up here.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellpull-demo-")))
        server = await stack.enter_async_context(GitServer(folder / "git", username=username, password=password))
        repository = await _whole(Repository, folder / "git", _NAME, folder / "clone")
        ports = _free_ports(3)
        await _set_up(folder, server.url, ports, place)
        if prepare is not None:
            await _whole(prepare, folder, server.url)
        made = World(
            folder=folder,
            site=folder / "web-1" / "site",
            repository=repository,
            git_url=server.url,
            served=served or FolderServed(folder / "web-1" / "site"),
            hooks_url=f"http://127.0.0.1:{ports[0]}/hooks/github",
            agents_url=f"http://127.0.0.1:{ports[1]}",
            console_url=f"http://127.0.0.1:{ports[2]}",
            secret=(folder / "secrets" / "github").read_bytes().strip(),
            gateway=Program("gateway", folder / "gateway.yaml", folder / "gateway.log"),
            agent=Program("agent", folder / "web-1" / "agent.yaml", folder / "agent.log"),
            session=await stack.enter_async_context(aiohttp.ClientSession()),
        )
        await made.push({"index.html": "hello 0\n"}, "The first page")
        stack.push_async_callback(made.gateway.stop)
        await made.gateway.start("listening")
        stack.push_async_callback(made.agent.stop)
        await made.agent.start("hearing the gateway")
        await made.shows("index.html", "hello 0\n")
        yield made


async def _set_up(folder: Path, git_url: str, ports: tuple[int, ...], place: Place | None) -> None:
    await _bellpull("init", str(folder))
    config = folder / "gateway.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["listen"] = {
        name: f"127.0.0.1:{port}" for name, port in zip(("hooks", "agents", "console"), ports, strict=True)
    }
    settings["journal"] = {"unsafe": True}  # nothing of a demo is kept, wherever temporary files are
    settings["sources"][0]["repositories"] = [f"127.0.0.1/{_NAME}"]
    if place is not None:
        settings["queue"] = place.settings(folder)
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    if place is not None:
        await _bellpull("broker", "setup", "--config", str(config), "--yes", *place.options)
    await _bellpull(
        *("enroll", "web-1" if place is None else place.agent, "--config", str(config)),
        *("--repository", f"{git_url}/{_NAME}.git", "--gateway-url", f"http://127.0.0.1:{ports[1]}"),
        *("--out", str(folder / "web-1"), *(() if place is None else place.options)),
    )


async def _bellpull(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bellpull", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise WorldError(f"bellpull {' '.join(words)}:\n{said.decode()}")


async def _whole(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Do `work` in a thread; an interruption waits for its end, so that nothing writes to a folder that goes away."""
    done = asyncio.get_running_loop().run_in_executor(None, partial(work, *arguments, **named))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        done.exception()  # nobody is left to hear it
        raise


def _free_ports(count: int) -> tuple[int, ...]:
    """Return ports that are free now; they stay the same when the gateway is started again."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return tuple(each.getsockname()[1] for each in sockets)
