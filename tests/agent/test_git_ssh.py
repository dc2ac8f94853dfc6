"""Git over SSH, against the real sshd: what is trusted, who is let in, and that everything HTTPS has works (P4)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.git import Mirrors
from agent.core.ancestry import Ancestry
from agent.ports.git import (
    AccessDeniedError,
    GitError,
    HostKeyError,
    RefGoneError,
    Remote,
    RepositoryGoneError,
    TransientError,
)
from bellpull.contract.repository import Ref
from tests.agent.mirrored import MAIN, commit_to, contents
from tests.agent.sshd_remote import remote_at
from tests.parts.git import Repository
from tests.parts.sshd import KeyPair, Sshd, serving

Keys = dict[str, KeyPair]


@pytest.fixture
async def mirrors(tmp_path: Path) -> AsyncIterator[Mirrors]:
    async with Mirrors(tmp_path / "mirrors", timeout_s=20) as mirrors:
        yield mirrors


@pytest.fixture
def repository(sshd: Sshd, tmp_path: Path) -> Repository:
    return Repository(tmp_path / "git", server=sshd.url)


@pytest.fixture
def remote(repository: Repository, sshd: Sshd, sshd_keys: Keys) -> Remote:
    return remote_at(repository.url, sshd.known_hosts(sshd_keys["ed25519"]), sshd_keys["user"])


def fetches(sshd: Sshd) -> int:
    return sshd.requests.count("git-upload-pack '/acme/site.git'")


async def test_a_ref_is_fetched_shallowly_and_then_what_is_new(
    mirrors: Mirrors, repository: Repository, remote: Remote, sshd: Sshd, tmp_path: Path
) -> None:
    await asyncio.to_thread(repository.commits, 5)
    first = await commit_to(repository, {"a": b"1", "b/c": b"2"})
    assert await mirrors.fetch(remote, MAIN) == first
    assert await contents(mirrors, remote, first) == {b"a": b"1", b"b/c": b"2", b"count": b"4"}
    second = await commit_to(repository, {"a": b"3"})
    assert await mirrors.tip(remote, MAIN) == second
    assert await mirrors.fetch(remote, MAIN) == second
    assert await contents(mirrors, remote, second) == {b"a": b"3", b"b/c": b"2", b"count": b"4"}
    assert await mirrors.fetch(remote, MAIN) == second
    assert fetches(sshd) == 4
    kept = await asyncio.to_thread(lambda: sum(p.stat().st_size for p in tmp_path.rglob("mirrors/**/*.pack")))
    assert kept < 2000, "the five commits before are not there"


async def test_ancestry_is_found_by_deepening(mirrors: Mirrors, repository: Repository, remote: Remote) -> None:
    """(R33)."""
    commits = await asyncio.to_thread(repository.commits, 60)
    tip = await mirrors.fetch(remote, MAIN)
    assert tip == commits[-1]
    assert await mirrors.relation(remote, MAIN, tip, commits[0]) is Ancestry.CONTAINS


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_one_pinned_key_is_enough_whatever_else_the_server_has(
    kind: str, mirrors: Mirrors, repository: Repository, sshd: Sshd, sshd_keys: Keys
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    remote = remote_at(repository.url, sshd.known_hosts(sshd_keys[kind]), sshd_keys["user"])
    assert await mirrors.fetch(remote, MAIN) == commit


async def test_a_wrong_host_key_is_refused_before_anything_is_offered(
    mirrors: Mirrors, repository: Repository, sshd: Sshd, sshd_keys: Keys
) -> None:
    await commit_to(repository, {"a": b"1"})
    wrong, right = sshd_keys["other"], sshd_keys["ed25519"]
    with pytest.raises(HostKeyError) as error:
        await mirrors.fetch(remote_at(repository.url, sshd.known_hosts(wrong), sshd_keys["user"]), MAIN)
    said = str(error.value)
    assert f"wrong host key: [127.0.0.1]:{sshd.port} shows ssh-ed25519 " in said
    for key in (wrong, right):
        assert await asyncio.to_thread(key.fingerprint) in said
    assert fetches(sshd) == 0
    assert sshd.log.count("Connection from") == 1, "and it is not tried again at once"
    assert "user" not in sshd.log, "not even the user's name was sent"


async def test_a_key_of_a_type_that_is_not_pinned_is_shown_with_what_to_write(
    mirrors: Mirrors, sshd_program: Path, git_programs: Path, sshd_keys: Keys, tmp_path: Path
) -> None:
    del git_programs
    async with serving(sshd_program, tmp_path / "sshd", tmp_path / "git", [sshd_keys["rsa"]]) as server:
        url = f"{server.url}/acme/site.git"
        with pytest.raises(HostKeyError) as error:
            await mirrors.tip(remote_at(url, server.known_hosts(sshd_keys["ed25519"]), sshd_keys["user"]), MAIN)
        said, line = str(error.value), server.known_hosts(sshd_keys["rsa"]).decode().strip()
        assert "of a type that is not pinned: ssh-rsa" in said
        assert await asyncio.to_thread(sshd_keys["rsa"].fingerprint) in said
        assert said.endswith(f"add to known_hosts: {line}")
        assert "Failed publickey" not in server.log


async def test_a_revoked_key_is_refused_though_it_is_pinned(
    mirrors: Mirrors, sshd_program: Path, git_programs: Path, sshd_keys: Keys, tmp_path: Path
) -> None:
    del git_programs
    async with serving(sshd_program, tmp_path / "sshd", tmp_path / "git", [sshd_keys["ed25519"]]) as server:
        known = server.known_hosts(sshd_keys["ed25519"], sshd_keys["other"])
        known += b"@revoked * " + sshd_keys["ed25519"].public.encode() + b"\n"
        with pytest.raises(HostKeyError, match="marks as @revoked"):
            await mirrors.tip(remote_at(f"{server.url}/acme/site.git", known, sshd_keys["user"]), MAIN)


async def test_pins_of_one_sync_do_not_count_for_another(
    mirrors: Mirrors, repository: Repository, sshd: Sshd, sshd_keys: Keys, remote: Remote
) -> None:
    """Both at once, for the same server: what one pins neither lets the other in nor locks it out."""
    commit = await commit_to(repository, {"a": b"1"})
    other = await asyncio.to_thread(Repository, Path(repository.path).parents[1], "acme/other", sshd.url)
    await commit_to(other, {"b": b"1"})
    wrong = remote_at(other.url, sshd.known_hosts(sshd_keys["other"]), sshd_keys["user"])
    for _ in range(3):
        ended = await asyncio.gather(mirrors.tip(remote, MAIN), mirrors.tip(wrong, MAIN), return_exceptions=True)
        assert ended[0] == commit
        assert isinstance(ended[1], HostKeyError)


@pytest.mark.parametrize(
    ("kind", "options", "passphrase"),
    [
        ("ed25519", (), "pass phrase"),
        ("ecdsa", (), ""),
        ("rsa", (), ""),
        ("ecdsa", ("-m", "PEM"), ""),
        ("rsa", ("-m", "PEM"), "pass phrase"),
        ("ecdsa", ("-m", "PKCS8"), ""),
        ("rsa", ("-m", "PKCS8"), "pass phrase"),
    ],
)
async def test_identities_of_all_common_kinds_get_in(
    kind: str,
    options: tuple[str, ...],
    passphrase: str,
    *,
    mirrors: Mirrors,
    repository: Repository,
    sshd: Sshd,
    sshd_keys: Keys,
    tmp_path: Path,
) -> None:
    commit = await commit_to(repository, {"a": b"1"})
    key = await asyncio.to_thread(lambda: KeyPair.make(tmp_path / "id", kind, *options, passphrase=passphrase))
    await asyncio.to_thread(sshd.authorize, key)
    known = sshd.known_hosts(sshd_keys["ed25519"])
    assert await mirrors.fetch(remote_at(repository.url, known, key, passphrase), MAIN) == commit
    if passphrase:
        with pytest.raises(AccessDeniedError, match=r"cannot be read.* `password` holds its passphrase"):
            await mirrors.tip(remote_at(repository.url, known, key, "wrong"), MAIN)


async def test_a_key_that_is_not_let_in_is_offered_once(
    mirrors: Mirrors, repository: Repository, sshd: Sshd, sshd_keys: Keys
) -> None:
    known = sshd.known_hosts(sshd_keys["ed25519"])
    with pytest.raises(AccessDeniedError, match=r"refused the key `identity`.*deploy key"):
        await mirrors.tip(remote_at(repository.url, known, sshd_keys["other"]), MAIN)
    assert sshd.log.count("Connection from") == 1


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ("ERROR: Repository not found.\n", RepositoryGoneError),  # GitHub
        ("ERROR: The project you were looking for could not be found\n", RepositoryGoneError),  # GitLab
        ("Gitea: Cannot find repository: acme/site\n", RepositoryGoneError),
        ("repository does not exist.\n", RepositoryGoneError),  # Bitbucket
        ("fatal: 'acme/site.git' does not appear to be a git repository\n", RepositoryGoneError),
        ("remote: Permission to acme/site.git denied to deploy key\n", AccessDeniedError),
        ("Forgejo: Unauthorized\n", AccessDeniedError),
        ("the disks are full\x1b[2J\n", TransientError),
    ],
)
async def test_what_a_server_says_is_the_kind_of_error(
    says: str, kind: type[GitError], *, mirrors: Mirrors, remote: Remote, sshd: Sshd
) -> None:
    await asyncio.to_thread(sshd.say, says)
    with pytest.raises(kind) as error:
        await mirrors.fetch(remote, MAIN)
    assert type(error.value) is kind
    assert says.strip().partition("\x1b")[0] in str(error.value)
    assert "\x1b" not in str(error.value)


async def test_what_is_gone_is_said(
    mirrors: Mirrors, repository: Repository, remote: Remote, sshd: Sshd, sshd_keys: Keys
) -> None:
    await commit_to(repository, {"a": b"1"})
    with pytest.raises(RefGoneError, match="no branch none"):
        await mirrors.fetch(remote, Ref.parse("refs/heads/none"))
    nowhere = f"{sshd.url}/acme/none.git"
    with pytest.raises(RepositoryGoneError, match="no such repository"):
        await mirrors.fetch(remote_at(nowhere, sshd.known_hosts(sshd_keys["ed25519"]), sshd_keys["user"]), MAIN)
