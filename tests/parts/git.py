"""Git repositories made by the real Git, and the server that serves them."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from bellpull.cli.demo.git_server import GitServer
from bellpull.contract.text import CommitId
from tests import parts

__all__ = [
    "GET",
    "NAME",
    "Executable",
    "Link",
    "Repository",
    "find",
    "git_programs",
    "git_server",
    "install",
    "repository",
    "run",
]

NAME: Final = "git with http-backend"
GET: Final = "apt-get install git"
_EPOCH: Final = 1_700_000_000


def find() -> Path | None:
    """Return the folder with Git's programs, if `http-backend` is among them."""
    if shutil.which("git") is None:
        return None
    folder = Path(run("--exec-path"))
    return folder if os.access(folder / "git-http-backend", os.X_OK) else None


def install() -> None:
    """Get it from Debian."""
    parts.apt_install("git")


def run(*words: str, stdin: bytes = b"") -> str:
    """Run Git and return what it says; its errors are the test's."""
    done = subprocess.run(["git", *words], env=parts.hermetic(), input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


class Executable(bytes):
    """The content of a file that may be run."""


class Link(bytes):
    """Where a symbolic link leads."""


class Repository:
    """A bare repository below `root`, to which commits come as if pushed. Every method blocks.

    Args:
        root: the folder that a server serves.
        name: its path below, without `.git`.
        server: the server's URL.
        ids: how objects are named: sha1 or sha256.
    """

    def __init__(self, root: Path, name: str = "acme/site", server: str = "", *, ids: str = "sha1") -> None:
        self.path = root / f"{name}.git"
        self.name = name
        self.url = f"{server}/{name}.git"
        self._commits = 0
        run("init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={ids}", str(self.path))

    def commit(
        self,
        files: Mapping[str, bytes | None],
        message: str = "a change",
        *,
        branch: str = "main",
        parent: CommitId | None = None,
    ) -> CommitId:
        """Commit to `branch`; None removes a file.

        Args:
            files: by path.
            message: of the commit.
            branch: made if it is not there.
            parent: instead of the branch's tip: what was on top of it is forced away.
        """
        tip = parent or self.tip(branch)
        return self._import([self._commit(branch, message, tip, files)])[0]

    def commits(self, count: int, *, branch: str = "main") -> list[CommitId]:
        """Commit `count` times, at once: each changes the file `count`."""
        first = self._commit(branch, "0", self.tip(branch), {"count": b"0"})
        rest = [self._commit(branch, str(n), None, {"count": b"%d" % n}) for n in range(1, count)]
        return self._import([first, *rest])

    def add_submodule(self, path: str, commit: str, *, branch: str = "main") -> CommitId:
        """Commit an entry that is a commit of another repository."""
        entry = b"M 160000 %s %s" % (commit.encode(), os.fsencode(path))
        return self._import([self._commit(branch, "a submodule", self.tip(branch), {}, entry)])[0]

    def tip(self, branch: str) -> CommitId | None:
        """Return where the branch is, None if it is not there."""
        found = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return CommitId(found) if found else None

    def branch(self, name: str, at: str) -> None:
        """Make a branch, or force it, to be at this commit."""
        self.git("update-ref", f"refs/heads/{name}", at)

    def tag(self, name: str, at: str, *, annotated: bool = False) -> None:
        """Make a tag, or force it, to be at this object."""
        self.git("tag", "--force", *(("--annotate", "--message=a tag") if annotated else ()), name, at)

    def force_push(self, branch: str, to: str) -> None:
        """Rewrite a branch to be at this commit, wherever it was."""
        self.branch(branch, to)

    def delete_branch(self, name: str) -> None:
        """Delete a branch; it may be the last."""
        self.git("update-ref", "-d", f"refs/heads/{name}")

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        self.git("update-ref", "-d", f"refs/tags/{name}")

    def git(self, *words: str, stdin: bytes = b"") -> str:
        """Run Git in the repository and return what it says."""
        return run("--git-dir", str(self.path), *words, stdin=stdin)

    def _import(self, commits: list[bytes]) -> list[CommitId]:
        said = self.git("fast-import", "--quiet", "--force", stdin=b"".join(commits))
        return [CommitId(line) for line in said.splitlines()]

    def _commit(
        self, branch: str, message: str, parent: str | None, files: Mapping[str, bytes | None], *more: bytes
    ) -> bytes:
        """Return the commands that `git fast-import` makes the commit of and says its id for."""
        self._commits += 1
        lines = [b"commit refs/heads/" + branch.encode(), b"mark :1"]
        lines += [b"committer Ada <ada@example.org> %d +0000" % (_EPOCH + self._commits), _data(message.encode())]
        lines += [b"from " + parent.encode()] if parent else []
        for path, content in files.items():
            name = os.fsencode(path)
            lines += (
                [b"D " + name] if content is None else [b"M %s inline %s" % (_mode(content), name), _data(content)]
            )
        return b"\n".join([*lines, *more, b"", b"get-mark :1", b""])


def _data(content: bytes) -> bytes:
    return b"data %d\n%s" % (len(content), content)


def _mode(content: bytes) -> bytes:
    return b"120000" if isinstance(content, Link) else b"100755" if isinstance(content, Executable) else b"100644"


@pytest.fixture(scope="session")
def git_programs() -> Path:
    """The folder with Git's programs; a test that has no Git is skipped."""
    return parts.need(sys.modules[__name__])


@pytest.fixture
async def git_server(git_programs: Path, tmp_path: Path) -> AsyncIterator[GitServer]:
    """A server of the repositories below `tmp_path / "git"`."""
    del git_programs
    async with GitServer(tmp_path / "git") as server:
        yield server


@pytest.fixture
def repository(git_server: GitServer, tmp_path: Path) -> Repository:
    """An empty repository on that server."""
    return Repository(tmp_path / "git", server=git_server.url)
