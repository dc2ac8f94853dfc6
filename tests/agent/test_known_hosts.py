"""Reading `known_hosts`, held against what OpenSSH itself reads in it."""

import base64
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.known_hosts import HostKey, KnownHostsError, Pins, is_offered, pins, why_not
from agent.core.ssh_address import SshAddress
from tests.parts.sshd import KeyPair


def key_of(kind: str, rest: bytes = b"x") -> HostKey:
    name = kind.encode()
    return HostKey.parse(len(name).to_bytes(4, "big") + name + len(rest).to_bytes(4, "big") + rest)


ED: Final = key_of("ssh-ed25519")
RSA: Final = key_of("ssh-rsa")
DSA: Final = key_of("ssh-dss")


def at(host: str, port: int = 22) -> SshAddress:
    return SshAddress(user="git", host=host, port=port, path="x")


@pytest.mark.parametrize(
    ("names", "host", "port", "is_named"),
    [
        ("git.example", "git.example", 22, True),
        ("Git.Example", "git.example", 22, True),
        ("git.example", "git.example", 2222, False),
        ("[git.example]:2222", "git.example", 2222, True),
        ("[git.example]:2222", "git.example", 22, False),
        ("a.example,git.example,10.0.0.1", "git.example", 22, True),
        ("a.example,10.0.0.1", "git.example", 22, False),
        ("*.example", "git.example", 22, True),
        ("gi?.example", "git.example", 22, True),
        ("gi?.example", "gi.example", 22, False),
        ("*.example,!git.example", "git.example", 22, False),
        ("!git.example,*", "git.example", 22, False),
        ("!a.example,*", "git.example", 22, True),
        ("git.example.org", "git.example", 22, False),
        ("git+example", "git.example", 22, False),
        ("::1", "::1", 22, True),
        ("[::1]:2222", "::1", 2222, True),
    ],
)
def test_names_are_read_as_openssh_reads_them(
    names: str, host: str, port: int, is_named: bool, *, sshd_keys: dict[str, KeyPair], tmp_path: Path
) -> None:
    written = f"# a comment\n\n{names} {sshd_keys['ed25519'].public} a comment\n"
    assert bool(pins(written.encode(), at(host, port)).keys) is is_named
    path = tmp_path / "known_hosts"
    path.write_text(written)
    asked = ["ssh-keygen", "-F", at(host, port).known_as, "-f", str(path)]
    assert (subprocess.run(asked, capture_output=True, check=False).returncode == 0) is is_named


def test_hashed_names_are_found(sshd_keys: dict[str, KeyPair], tmp_path: Path) -> None:
    """Hashed by OpenSSH, with and without a port."""
    path = tmp_path / "known_hosts"
    lines = f"git.example {sshd_keys['ed25519'].public}\n[git.example]:2222 {sshd_keys['rsa'].public}\n"
    path.write_text(lines)
    subprocess.run(["ssh-keygen", "-H", "-f", str(path)], capture_output=True, check=True)
    hashed = path.read_bytes()
    assert b"git.example" not in hashed
    assert [key.line for key in pins(hashed, at("git.example")).keys] == [sshd_keys["ed25519"].public]
    assert [key.line for key in pins(hashed, at("git.example", 2222)).keys] == [sshd_keys["rsa"].public]
    assert pins(hashed, at("other.example")).keys == ()


def test_fingerprints_are_those_of_openssh(sshd_keys: dict[str, KeyPair]) -> None:
    for pair in sshd_keys.values():
        key = HostKey.parse(base64.b64decode(pair.public.split()[1]))
        assert (key.kind, key.line) == (pair.public.split()[0], pair.public)
        assert key.fingerprint == pair.fingerprint()


def test_all_lines_of_a_host_count_and_what_is_revoked_does_not() -> None:
    known = (
        f"h {ED.line}\r\nh {RSA.line}\nh {ED.line}\nh {DSA.line}\n@cert-authority h {key_of('ssh-rsa', b'ca').line}\n"
    )
    assert pins(known.encode(), at("h")) == Pins(host="h", keys=(ED, RSA))
    revoked = f"{known}@revoked * {ED.line}\n"
    assert pins(revoked.encode(), at("h")) == Pins(host="h", keys=(RSA,), revoked=(ED,))


@pytest.mark.parametrize(
    "line",
    [
        "h",
        "h ssh-ed25519",
        "h ssh-ed25519 !!!!",
        "h ssh-ed25519 AAAA",
        f"h ssh-rsa {ED.line.split()[1]}",
        f"@revoke h {ED.line}",
        f"|1|short {ED.line}",
        f"|2|AAAA|AAAA {ED.line}",
        "h 1024 35 1234567",
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    """It may have been the one that revokes."""
    with pytest.raises(KnownHostsError, match="line 2 is not"):
        pins(f"h {ED.line}\n{line}\n".encode(), at("h"))


@given(st.binary())
def test_any_bytes_are_read_or_refused(known_hosts: bytes) -> None:
    with suppress(KnownHostsError):
        assert pins(known_hosts, at("h")).host == "h"


@pytest.mark.parametrize(
    ("key", "algorithms", "offered"),
    [
        (ED, {"ssh-ed25519", "rsa-sha2-512"}, True),
        (ED, {"rsa-sha2-512", "ecdsa-sha2-nistp256"}, False),
        (RSA, {"rsa-sha2-256"}, True),
        (RSA, {"ssh-ed25519", "ssh-rsa-cert-v01@openssh.com"}, False),
    ],
)
def test_which_servers_have_a_key_of_a_pinned_type(key: HostKey, algorithms: set[str], offered: bool) -> None:
    assert is_offered(Pins(host="h", keys=(key,)), algorithms) is offered


@pytest.mark.parametrize(
    ("presented", "words"),
    [
        (key_of("ssh-ed25519", b"other"), ["wrong host key: h shows ssh-ed25519 SHA256:", "ask who runs it"]),
        (RSA, ["of a type that is not pinned: ssh-rsa SHA256:", f"add to known_hosts: h {RSA.line}"]),
        (DSA, ["marks as @revoked: ssh-dss SHA256:"]),
        (None, ["could not show one of its pinned host keys (ssh-ed25519 SHA256:"]),
    ],
)
def test_why_a_server_is_not_trusted(presented: HostKey | None, words: list[str]) -> None:
    said = why_not(Pins(host="h", keys=(ED,), revoked=(DSA,)), presented)
    for word in [*words, "" if presented is None else presented.fingerprint]:
        assert word in said
