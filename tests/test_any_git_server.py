"""The how-to for any Git server, done as it is written: a bare repository rings a gateway."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway.process import Folder
from tests.parts import git, hermetic, need

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "any-git-server.md").read_text()


def block(language: str) -> str:
    """Return the page's one block of this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A gateway's folder with the page's secret and source."""
    need(git)
    folder = Folder(tmp_path)
    (tmp_path / "secrets").mkdir()
    for line in block("console").splitlines():
        subprocess.run(["bash", "-c", line.removeprefix("$ ")], cwd=tmp_path, check=True)
    config = yaml.safe_load((tmp_path / "gateway.yaml").read_text())
    folder.write("gateway.yaml", yaml.safe_dump(config | yaml.safe_load(block("yaml"))))
    return folder


def bare_repository(folder: Folder, hooks: str) -> Path:
    """Return a bare repository with the page's hook, its three names changed."""
    bare = folder.path / "site.git"
    git.run("init", "-q", "--bare", "-b", "main", str(bare))
    script = block("python").replace("https://hooks.example.com", hooks)
    script = script.replace("/etc/bellpull/git-secret", str(folder.path / "secrets" / "git"))
    hook = bare / "hooks" / "post-receive"
    hook.write_text(script)
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    return bare


def push(work: Path, *refs: str) -> str:
    """Push, and return what the other side said."""
    done = subprocess.run(
        ["git", "-C", str(work), "push", "origin", *refs], env=hermetic(), capture_output=True, text=True, check=True
    )
    return done.stderr


def delivery(folder: Folder, number: int) -> dict[str, Any]:
    """Return the gateway's log line of a delivery."""
    return [line for line in folder.lines() if line["event"] == "delivery"][number]


def test_a_bare_repository_rings_for_each_ref_that_moved(folder: Folder) -> None:
    """A branch, an annotated tag (as the commit it names) and a deletion; the journal has them in this order."""
    with folder.running() as gateway:
        bare, work = bare_repository(folder, gateway.hooks), folder.path / "work"
        git.run("clone", "-q", str(bare), str(work))
        git.run("-C", str(work), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-mx")
        git.run("-C", str(work), "-c", "user.name=a", "-c", "user.email=a@b", "tag", "-a", "v1", "-mx")
        commit = git.run("-C", str(work), "rev-parse", "HEAD")

        said = push(work, "HEAD:refs/heads/main") + push(work, "v1") + push(work, ":refs/tags/v1")

        assert "bellpull" not in said, said
        assert [row[1:] for row in folder.rows()] == [
            ("refs/heads/main", commit),
            ("refs/tags/v1", commit),
            ("refs/tags/v1", None),
        ]
    assert (delivery(folder, 0)["outcome"], delivery(folder, 0)["status"]) == ("accepted", 202)


def test_a_gateway_that_is_away_fails_no_push(folder: Folder) -> None:
    bare, work = bare_repository(folder, "http://127.0.0.1:9"), folder.path / "work"
    git.run("clone", "-q", str(bare), str(work))
    git.run("-C", str(work), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-mx")

    assert "bellpull was not told of refs/heads/main" in push(work, "HEAD:refs/heads/main")


def test_a_wrong_secret_is_said_at_the_start(folder: Folder) -> None:
    """And by `bellpull check`; nobody waits for a delivery to find out."""
    folder.write("secrets/git", "whsec_c2hvcnQ=\n")

    for words, where in ((["gateway", "--config"], "stderr"), (["check", "--gateway"], "stdout")):
        command = [sys.executable, "-m", "bellpull", *words, str(folder.path / "gateway.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode != 0
        assert "secrets/git begins with whsec_ and is not 24 to 64 bytes" in getattr(done, where)
