"""A real Git repository for the demo, and the webhook a provider would send for each push to it."""

import hmac
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

__all__ = ["NOWHERE", "Push", "Repository", "sign"]

NOWHERE: Final = "0" * 40
_ENVIRONMENT: Final = {
    "HOME": os.devnull,
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A push that happened: where the ref was before, and is after it; forty zeros for nowhere."""

    before: str
    after: str
    ref: str = "refs/heads/main"
    forced: bool = False

    def body(self, clone_url: str, name: str) -> bytes:
        """Return the body of GitHub's `push` webhook for it."""
        deleted = self.after == NOWHERE
        commit = {"id": self.after, "message": "demo", "added": [], "modified": [], "removed": []}
        payload: dict[str, Any] = {
            "ref": self.ref,
            "before": self.before,
            "after": self.after,
            "created": self.before == NOWHERE,
            "deleted": deleted,
            "forced": self.forced,
            "base_ref": None,
            "commits": [] if deleted else [commit],
            "head_commit": None if deleted else commit,
            "repository": {
                "name": name.rsplit("/", 1)[-1],
                "full_name": name,
                "clone_url": clone_url,
                "html_url": clone_url.removesuffix(".git"),
                "default_branch": "main",
            },
            "pusher": {"name": "ada"},
            "sender": {"login": "ada"},
        }
        return orjson.dumps(payload)


def sign(secret: bytes, body: bytes) -> str:
    """Return GitHub's `X-Hub-Signature-256` over `body`."""
    return "sha256=" + hmac.new(secret, body, sha256).hexdigest()


class Repository:
    """A bare repository below `root`, and a clone to commit in. Every method blocks.

    Args:
        root: the folder a Git server serves.
        name: path of the repository below it, without `.git`.
        clone: folder for the clone; it must not exist.
    """

    def __init__(self, root: Path, name: str, clone: Path) -> None:
        self._clone = clone
        bare = root / f"{name}.git"
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        _git("clone", "--quiet", str(bare), str(clone))
        _git("-C", str(clone), "checkout", "--quiet", "-B", "main")

    def push(self, files: Mapping[str, str | None], message: str) -> Push:
        """Commit these files (None is one that goes) and push."""
        for path, content in files.items():
            if content is None:
                (self._clone / path).unlink()
                continue
            (self._clone / path).parent.mkdir(parents=True, exist_ok=True)
            (self._clone / path).write_text(content)
        self._run("add", "--all")
        before = self._head()
        self._run("commit", "--quiet", "--message", message)
        return self._push(before)

    def revert(self) -> Push:
        """Revert the last commit and push."""
        before = self._head()
        self._run("revert", "--no-edit", "HEAD")
        return self._push(before)

    def _push(self, before: str) -> Push:
        self._run("push", "--quiet", "origin", "main")
        return Push(before=before, after=self._head())

    def _head(self) -> str:
        head = self._run("rev-parse", "--verify", "--quiet", "HEAD", check=False)
        return head or NOWHERE

    def _run(self, *arguments: str, check: bool = True) -> str:
        return _git("-C", str(self._clone), *arguments, check=check)


def _git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(  # noqa: S603 - the words are this module's own
        ["git", *arguments],  # noqa: S607 - a user's git is the one on PATH
        env=_ENVIRONMENT | {"PATH": os.environ.get("PATH", os.defpath)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
