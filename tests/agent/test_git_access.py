"""Who a mirror shows credentials to, whom it trusts, and which way it goes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme

from agent.adapters.git import Mirrors
from agent.ports.git import AccessDeniedError, RefGoneError, Remote, TransientError
from bellpull.cli.demo.git_server import GitServer
from bellpull.contract.repository import Ref
from bellpull.runtime.secret import Secret
from tests.agent.asked import ask
from tests.agent.mirrored import MAIN, commit_to
from tests.parts.git import Repository
from tests.parts.proxy import Proxy

PASSWORD = "correct-horse"


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


@pytest.fixture
def remote(repository: Repository) -> Remote:
    return Remote(url=repository.url)


@pytest.mark.usefixtures("git_programs")
async def test_only_the_right_password_gets_in_and_no_password_gets_out(
    mirrors: Mirrors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = await asyncio.to_thread(Repository, tmp_path / "git")
    commit = await commit_to(repository, {"a": b"1"})
    async with GitServer(tmp_path / "git", username="ada", password=PASSWORD) as server:
        url = f"{server.url}/acme/site.git"
        with_user = url.replace("//", f"//ada:{PASSWORD}@")
        for right in (Remote(url=url, username="ada", password=Secret(PASSWORD.encode())), Remote(url=with_user)):
            assert await mirrors.fetch(right, MAIN) == commit
        for wrong in (
            Remote(url=url),
            Remote(url=url, username="ada", password=Secret(b"wrong-" + PASSWORD.encode())),
            Remote(url=with_user, username="eve"),
        ):
            with pytest.raises(AccessDeniedError, match="secretRef") as denied:
                await mirrors.fetch(wrong, MAIN)
            assert PASSWORD not in f"{denied.value!r} {denied.value.__cause__!r} {wrong.password!r}"
        with pytest.raises(RefGoneError) as gone:
            await mirrors.fetch(Remote(url=with_user), Ref.parse("refs/heads/none"))
        assert PASSWORD not in str(gone.value)
    with pytest.raises(TransientError) as unreachable:
        await mirrors.fetch(Remote(url=with_user), MAIN)
    assert PASSWORD not in str(unreachable.value)
    assert PASSWORD not in caplog.text
    kept = await asyncio.to_thread(
        lambda: b"".join(p.read_bytes() for p in tmp_path.rglob("mirrors/**/*") if p.is_file())
    )
    assert PASSWORD.encode() not in kept


@pytest.mark.usefixtures("git_programs")
async def test_tls_is_verified_and_proxies_are_gone_through(tmp_path: Path) -> None:
    """Only the authority in `ca`, beside the system's, is trusted; HTTPS_PROXY and NO_PROXY are honoured."""
    authority, other = trustme.CA(), trustme.CA()
    ca, wrong = tmp_path / "ca.pem", tmp_path / "wrong.pem"
    for made, path in ((authority, ca), (other, wrong)):
        await asyncio.to_thread(path.write_bytes, made.cert_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    commit = await commit_to(await asyncio.to_thread(Repository, tmp_path / "git"), {"a": b"1"})
    async with GitServer(tmp_path / "git", ssl_context=context) as server, Proxy() as proxy:
        url = f"{server.url}/acme/site.git"
        assert await ask(url, tmp_path / "m", str(ca)) == commit
        for untrusted in ("", str(wrong)):
            assert "its certificate is not trusted" in await ask(url, tmp_path / "m", untrusted)
        other_name = url.replace("127.0.0.1", "localhost")
        assert "its certificate is not trusted" in await ask(other_name, tmp_path / "m", str(ca))
        assert proxy.targets == []
        assert await ask(url, tmp_path / "m", str(ca), HTTPS_PROXY=proxy.url, NO_PROXY="127.0.0.1") == commit
        assert proxy.targets == []
        assert await ask(url, tmp_path / "m", str(ca), HTTPS_PROXY=proxy.url) == commit
        assert set(proxy.targets) == {server.url.removeprefix("https://")}


PROXY_PASSWORD = "open-sesame"


@pytest.mark.parametrize(
    ("account", "refuses", "said"),
    [
        (f"ada:{PROXY_PASSWORD}", None, ""),
        (f"ada:not-{PROXY_PASSWORD}", None, "the proxy wants another user or password: mend HTTPS_PROXY"),
        (None, HTTPStatus.FORBIDDEN, "proxy returned unexpected status: 403; it is tried again"),
    ],
    ids=["lets in", "does not know the user", "refuses"],
)
@pytest.mark.usefixtures("git_programs")
async def test_a_proxy_may_ask_who_comes_and_may_refuse(
    account: str | None, refuses: HTTPStatus | None, said: str, tmp_path: Path
) -> None:
    """User and password of HTTPS_PROXY are shown to the proxy, and to nobody else."""
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    await asyncio.to_thread(ca.write_bytes, authority.cert_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    commit = await commit_to(await asyncio.to_thread(Repository, tmp_path / "git"), {"a": b"1"})
    async with (
        GitServer(tmp_path / "git", ssl_context=context) as server,
        Proxy(account=account, refuses=refuses) as proxy,
    ):
        shown = proxy.url.replace("//", f"//ada:{PROXY_PASSWORD}@")
        answer = await ask(f"{server.url}/acme/site.git", tmp_path / "m", str(ca), HTTPS_PROXY=shown)
        assert (said or commit) in answer, answer
        assert PROXY_PASSWORD not in answer
        assert bool(proxy.targets) is (not said)


async def test_the_users_own_git_configuration_takes_no_part(
    repository: Repository, remote: Remote, tmp_path: Path
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    elsewhere = f'[url "http://127.0.0.1:1/"]\n\tinsteadOf = {remote.url.removesuffix("/acme/site.git")}/\n'
    await asyncio.to_thread((tmp_path / ".gitconfig").write_text, elsewhere)
    assert await ask(remote.url, tmp_path / "m", HOME=str(tmp_path)) == commit
