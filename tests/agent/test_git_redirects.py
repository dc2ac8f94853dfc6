"""Where a redirect is followed to, and with what.

A repository that was renamed is found where its own server says that it is, as Git does it, with the credentials of
the configured origin and nowhere else. Another host is never gone to, and TLS never left: the URL is the Sync's (P4).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import hdrs, web

from agent.adapters.git import Mirrors
from agent.ports.git import AccessDeniedError, Remote, TransientError
from bellpull.cli.demo.git_server import GitServer
from bellpull.runtime.secret import Secret
from tests.agent.asked import ask
from tests.agent.mirrored import MAIN, commit_to
from tests.parts.git import Repository

PASSWORD = "correct-horse"


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


class Front:
    """Redirects `/old` to `/acme/site.git`, and passes everything else on to a Git server.

    Args:
        git: URL of that server.
        to: another origin to redirect to.
        asks: whether it lets nobody in who shows no credentials.
    """

    def __init__(self, git: str = "", *, to: str = "", asks: bool = False) -> None:
        self.asked: list[str] = []
        """The paths, and whether there were credentials."""
        self._git = git
        self._to = to
        self._asks = asks

    async def handle(self, request: web.Request) -> web.Response:
        shown = hdrs.AUTHORIZATION in request.headers
        self.asked.append(f"{request.path} {'with' if shown else 'without'}")
        if self._asks and not shown:
            return web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="git"'})
        if request.path.startswith("/old/"):
            there = f"{self._to}/acme/site.git{request.path_qs.removeprefix('/old')}"
            return web.Response(status=301, headers={hdrs.LOCATION: there})
        wanted = {name: request.headers[name] for name in (hdrs.CONTENT_TYPE,) if name in request.headers}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method, self._git + request.path_qs, data=await request.read(), headers=wanted
            ) as answer,
        ):
            kind = {hdrs.CONTENT_TYPE: answer.headers[hdrs.CONTENT_TYPE]}
            return web.Response(status=answer.status, body=await answer.read(), headers=kind)


@asynccontextmanager
async def serving(front: Front, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on a free port; gives the URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("asks", [False, True], ids=["public", "private"])
async def test_a_renamed_repository_is_found(
    asks: bool, *, mirrors: Mirrors, repository: Repository, git_server: GitServer
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    front = Front(git_server.url, asks=asks)
    async with serving(front) as url:
        password = Secret(PASSWORD.encode()) if asks else None
        remote = Remote(url=f"{url}/old", username="ada" if asks else None, password=password)
        assert await mirrors.fetch(remote, MAIN) == commit
        assert "/acme/site.git/git-upload-pack " + ("with" if asks else "without") in front.asked


async def test_another_port_of_the_same_host_is_gone_to_without_credentials(
    mirrors: Mirrors, repository: Repository, git_server: GitServer
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    async with serving(Front(git_server.url)) as new, serving(Front(to=new)) as old:
        assert await mirrors.fetch(Remote(url=f"{old}/old"), MAIN) == commit


@pytest.mark.parametrize("asks", [False, True], ids=["asked there only", "shown before"])
async def test_credentials_are_not_given_to_another_port(asks: bool, *, mirrors: Mirrors) -> None:
    there = Front(asks=True)
    async with serving(there) as new, serving(Front(to=new, asks=asks)) as old:
        remote = Remote(url=f"{old}/old", username="ada", password=Secret(PASSWORD.encode()))
        with pytest.raises(AccessDeniedError, match="somewhere else"):
            await mirrors.fetch(remote, MAIN)
    assert there.asked == ["/acme/site.git/info/refs without"]


async def test_another_host_is_not_gone_to(mirrors: Mirrors, repository: Repository, git_server: GitServer) -> None:
    await commit_to(repository, {"a": b"1"})
    async with serving(Front(to=git_server.url.replace("127.0.0.1", "localhost"))) as url:
        with pytest.raises(TransientError, match="set the URL to where it leads"):
            await mirrors.fetch(Remote(url=f"{url}/old"), MAIN)
    assert git_server.requests == 0


async def test_tls_is_not_left(repository: Repository, git_server: GitServer, tmp_path: Path) -> None:
    await commit_to(repository, {"a": b"1"})
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    await asyncio.to_thread(ca.write_bytes, authority.cert_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(Front(to=git_server.url), context) as url:
        said = await ask(f"{url}/old", tmp_path / "m", str(ca))
    assert "cannot redirect from 'https' to 'http': set the URL to where it leads" in said
    assert git_server.requests == 0
