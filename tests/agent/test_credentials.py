"""The folder of a `secretRef`: what is read from it, and what is said of what is not there."""

from pathlib import Path

import pytest

from agent.adapters.credentials import CredentialError, read_remote
from bellpull.runtime.secret import Secret
from tests.parts.sshd import KeyPair

URL = "ssh://git@git.example:2222/acme/site.git"


@pytest.fixture
def folder(tmp_path: Path, sshd_keys: dict[str, KeyPair]) -> Path:
    """A folder of secrets with one that gets in by SSH, as Flux writes it."""
    secret = tmp_path / "site"
    secret.mkdir()
    (secret / "identity").write_bytes(sshd_keys["user"].private)
    (secret / "identity.pub").write_text(sshd_keys["user"].public)
    (secret / "known_hosts").write_text(f"[git.example]:2222 {sshd_keys['ed25519'].public}\n")
    return tmp_path


def refusal(folder: Path | None, url: str = URL, name: str | None = "site") -> str:
    with pytest.raises(CredentialError) as error:
        read_remote(url, folder, name)
    said = str(error.value)
    assert "PRIVATE KEY" not in said
    return said


def test_ssh_reads_identity_and_known_hosts(folder: Path, sshd_keys: dict[str, KeyPair]) -> None:
    access = read_remote(URL, folder, "site").ssh
    assert access is not None
    assert access.address.known_as == "[git.example]:2222"
    assert access.identity.reveal() == sshd_keys["user"].private
    assert [key.line for key in access.pins.keys] == [sshd_keys["ed25519"].public]
    assert access.passphrase is None
    assert "PRIVATE" not in repr(access)


def test_https_reads_username_and_password(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "username").write_text("ada\n")
    (tmp_path / "site" / "password").write_text("pw\n")
    remote = read_remote("https://git.example/acme/site", tmp_path, "site")
    assert (remote.username, remote.password, remote.ssh) == ("ada", Secret(b"pw"), None)


def test_without_known_hosts_nothing_is_trusted(folder: Path) -> None:
    """Neither a missing file nor one that does not know the host means: trust whoever answers first."""
    (folder / "site" / "known_hosts").write_text("git.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA\n")
    assert "has no key for [git.example]:2222 that can be used: `ssh-keyscan -p 2222 git.example`" in refusal(folder)
    (folder / "site" / "known_hosts").unlink()
    said = refusal(folder)
    assert said.startswith(f"{folder}/site/known_hosts: is not there, and no host key is trusted without it")
    assert "compare their fingerprints" in said


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("known_hosts", b"nonsense\n", "known_hosts: line 1 is not [@revoked] HOST TYPE KEY"),
        ("identity", b"ssh-ed25519 AAAA\n", "identity: is no private key as OpenSSH or PEM have it"),
        ("identity", b"\n", "identity: is empty"),
        ("password", b"\n", "password: is empty"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, content: bytes, problem: str, folder: Path) -> None:
    (folder / "site" / name).write_bytes(content)
    assert problem in refusal(folder)


@pytest.mark.parametrize(("kind", "options"), [("ed25519", ()), ("rsa", ("-m", "PEM")), ("ecdsa", ("-m", "PKCS8"))])
def test_a_key_with_a_passphrase_needs_it(kind: str, options: tuple[str, ...], folder: Path) -> None:
    key = KeyPair.make(folder / "key", kind, *options, passphrase="open sesame")
    (folder / "site" / "identity").write_bytes(key.private)
    assert "identity: has a passphrase: put it into the file `password` beside it" in refusal(folder)
    (folder / "site" / "password").write_text("open sesame\n")
    access = read_remote(URL, folder, "site").ssh
    assert access is not None
    assert access.passphrase == Secret(b"open sesame")


def test_what_is_not_named_or_not_there_is_said(folder: Path) -> None:
    assert "SSH needs a secretRef with the files identity and known_hosts" in refusal(folder, name=None)
    assert "the agent's configuration has no `secrets` folder" in refusal(None)
    assert "other/identity: No such file or directory" in refusal(folder, name="other")
