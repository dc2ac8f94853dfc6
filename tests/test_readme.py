"""The README's first steps, run as they are written."""

import asyncio
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic, sleep

import aiohttp
import pytest
import trustme

from bellpull.cli.demo.git_server import GitServer
from bellpull.cli.demo.repository import Push, sign
from tests.parts.git import Repository
from tests.parts.proxy import Proxy

README = Path(__file__).parent.parent / "README.md"
PORTS = (8080, 8081, 8082)


def commands(section: str) -> list[str]:
    """Return the commands of a section, without what is said beside them."""
    text = README.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"\s+#.*", "", line.removeprefix("$ ")) for line in block.splitlines()]


def test_the_first_screen_says_what_it_is() -> None:
    """One sentence, the demo's output, who holds what, the two commands: within the first fifty lines."""
    screen = "\n".join(README.read_text().splitlines()[:50])

    for part in ("$ make demo", "never holds", "$ make test", "live", "the gateway was killed"):
        assert part in screen


@pytest.fixture
def free_ports() -> None:
    """The default ports, or the test says that it cannot run beside what uses them."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is in use here, and the README uses it")


def paced(line: str) -> str:
    """Return the line for one repository, with the pause that a person makes by typing the next."""
    own = line.replace("OWNER/NAME", "acme/site")
    return f"{own} sleep 3" if own.endswith("&") else own


@asynccontextmanager
async def github(folder: Path) -> AsyncIterator[tuple[Repository, dict[str, str]]]:
    """Yield a repository that is https://github.com/acme/site for who has this environment."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("github.com").configure_cert(context)
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(GitServer(folder / "git", ssl_context=context))
        proxy = await stack.enter_async_context(Proxy({"github.com:443": server.url.removeprefix("https://")}))
        repository = await asyncio.to_thread(Repository, folder / "git", "acme/site")
        yield repository, {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(trusted)}


async def shell(lines: list[str], environment: dict[str, str], folder: Path) -> asyncio.subprocess.Process:
    """Run the lines as one shell would, each seen, stopping at the first that fails; it stays for its background."""
    home = {"HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = "\n".join(["mkdir -p ~ && cd ~", "exec 2>errors", "set -ex", *lines, "echo DONE", "wait"])
    return await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env=home | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.usefixtures("free_ports", "git_programs")
async def test_your_own_repository_in_three_minutes(tmp_path: Path) -> None:
    """As written, but for OWNER/NAME; github.com is a real Git server behind a proxy, with a certificate."""
    async with github(tmp_path) as (repository, environment), asyncio.timeout(60):
        before = await asyncio.to_thread(repository.commit, {"index.html": b"hello\n"})
        lines = [paced(line) for line in commands("Your own repository in three minutes")]
        process = await shell(lines, environment, tmp_path / "home")
        try:
            assert process.stdout is not None
            said = (await process.stdout.readuntil(b"DONE")).decode()
            assert "index.html" in said.splitlines()[-2]
            after = await asyncio.to_thread(repository.commit, {"index.html": b"pushed\n"})
            await ring(Push(before=before, after=after), tmp_path / "home" / "bell")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            await process.wait()


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
