"""Debian's OpenSSH server on loopback: private configuration, host keys and accounts; serves Git repositories.

Every login ends in `git-shell` in the served folder, whatever was asked for, and a path is below that folder with or
without a slash in front, as with a provider. It logs in as whoever runs the tests: sshd needs no root for that.
"""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests import parts

__all__ = ["GET", "NAME", "KeyPair", "Sshd", "find", "install", "sshd", "sshd_keys", "sshd_program"]

NAME: Final = "sshd"
GET: Final = "apt-get install openssh-server"
KINDS: Final = ("ed25519", "ecdsa", "rsa")
_START_S: Final = 20.0
_SHELL: Final = """#!/bin/sh
printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >> {folder}/requests
[ -e {folder}/says ] && {{ cat {folder}/says >&2; exit 1; }}
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
cd {root} && exec git-shell -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s#'/#'#")"
"""
_CONFIG: Final = """
AddressFamily inet
ListenAddress 127.0.0.1:{port}
AuthorizedKeysFile {folder}/authorized_keys
ForceCommand {folder}/shell
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PidFile none
LogLevel VERBOSE
UseDNS no
MaxStartups 100
"""


def find() -> Path | None:
    """Return the program, if `git-shell` is there too."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    return Path(program) if program and shutil.which("git-shell") and shutil.which("ssh-keygen") else None


def install() -> None:
    """Get it from Debian."""
    parts.apt_install("openssh-server", "git")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A key of a host or of a user."""

    private: bytes
    public: str
    """Type and key, without a comment."""

    @classmethod
    def make(cls, path: Path, kind: str, *options: str, passphrase: str = "") -> "KeyPair":
        """Make one at `path` with `ssh-keygen`; such as `-m PEM` may be given. Blocks."""
        words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path), *options]
        subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return cls(private=path.read_bytes(), public=" ".join(path.with_suffix(".pub").read_text().split()[:2]))

    def fingerprint(self) -> str:
        """Return what `ssh-keygen -l` says of it. Blocks."""
        words = ["ssh-keygen", "-l", "-f", "-"]
        done = subprocess.run(words, input=self.public, check=True, capture_output=True, text=True)
        return done.stdout.split()[1]


class Sshd:
    """A server that runs.

    Attributes:
        port: on 127.0.0.1.
        root: the folder of the repositories.
        user: who may log in, with one of the authorized keys.
    """

    def __init__(self, folder: Path, root: Path, port: int) -> None:
        self.port = port
        self.root = root
        self.user = getpass.getuser()
        self._folder = folder

    @property
    def url(self) -> str:
        """In front of `/acme/site.git`."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        """The commands that were asked for."""
        path = self._folder / "requests"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        """What the server logged."""
        path = self._folder / "log"
        return path.read_text() if path.exists() else ""

    def authorize(self, *keys: KeyPair) -> None:
        """Let these in, and no others."""
        (self._folder / "authorized_keys").write_text("".join(f"{key.public}\n" for key in keys))

    def say(self, words: str) -> None:
        """Answer each request by these words and an end, as a provider that refuses."""
        (self._folder / "says").write_text(words)

    def known_hosts(self, *keys: KeyPair) -> bytes:
        """Return the lines that pin these keys for it."""
        return "".join(f"[127.0.0.1]:{self.port} {key.public}\n" for key in keys).encode()


@asynccontextmanager
async def serving(program: Path, folder: Path, root: Path, host_keys: Iterable[KeyPair]) -> AsyncIterator[Sshd]:
    """Serve the repositories below `root`; `folder` is the server's own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    await asyncio.to_thread(_prepare, folder, root, port, tuple(host_keys))
    process = await asyncio.create_subprocess_exec(
        *(str(program), "-D", "-f", str(folder / "config"), "-E", str(folder / "log"))
    )
    try:
        server = Sshd(folder, root, port)
        await _up(process, server)
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _prepare(folder: Path, root: Path, port: int, host_keys: Iterable[KeyPair]) -> None:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where Debian's separates privileges
    folder.mkdir(parents=True)
    root.mkdir(parents=True, exist_ok=True)
    lines = [_CONFIG.format(port=port, folder=folder)]
    for number, key in enumerate(host_keys):
        path = folder / f"host_key_{number}"
        path.write_bytes(key.private)
        path.chmod(0o600)
        lines.append(f"HostKey {path}\n")
    (folder / "config").write_text("".join(lines))
    (folder / "authorized_keys").write_text("")
    (folder / "shell").write_text(_SHELL.format(folder=folder, root=root))
    (folder / "shell").chmod(0o755)


async def _up(process: asyncio.subprocess.Process, server: Sshd) -> None:
    async with asyncio.timeout(_START_S):
        while "Server listening" not in server.log:
            assert process.returncode is None, server.log
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def sshd_program() -> Path:
    """The server's program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])


@pytest.fixture(scope="session")
def sshd_keys(sshd_program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyPair]:
    """Keys, made once: `ed25519`, `ecdsa` and `rsa` of a host, `user`, and `other` of nobody."""
    del sshd_program
    folder = tmp_path_factory.mktemp("sshd-keys")
    made = {kind: KeyPair.make(folder / kind, kind) for kind in KINDS}
    return made | {name: KeyPair.make(folder / name, "ed25519") for name in ("user", "other")}


@pytest.fixture
async def sshd(
    sshd_program: Path, git_programs: Path, sshd_keys: dict[str, KeyPair], tmp_path: Path
) -> AsyncIterator[Sshd]:
    """A server of the repositories below `tmp_path / "git"`, with a host key of each kind; it lets `user` in."""
    del git_programs
    keys = [sshd_keys[kind] for kind in KINDS]
    async with serving(sshd_program, tmp_path / "sshd", tmp_path / "git", keys) as server:
        await asyncio.to_thread(server.authorize, sshd_keys["user"])
        yield server
