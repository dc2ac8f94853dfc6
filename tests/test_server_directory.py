"""The how-to for a plain server: its Sync is one that the agent takes, and says what the page says of it."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters import command
from agent.app.sync_files import load_sync_files
from agent.core import guard
from agent.spec import Sync

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "server-directory.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def read(folder: Path, written: str) -> Sync:
    (folder / "syncs.yaml").write_text(written)
    (sync,) = load_sync_files(folder)
    return sync


def test_the_page_has_a_sync_that_the_agent_takes(tmp_path: Path) -> None:
    sync = read(tmp_path, BLOCKS[0])
    directory = sync.spec.target.directory
    assert directory is not None
    assert (sync.name, directory.path) == ("default/www", Path("/srv/www"))
    assert directory.on_change is not None
    assert (directory.on_change.command[0], directory.on_change.timeout) == ("sudo", timedelta(seconds=30))
    assert sync.spec.guard.share == guard.Guard().max_deletions


def test_what_the_page_accepts_is_one_commit(tmp_path: Path) -> None:
    written = BLOCKS[0].replace("  guard:\n    maxDeletions: 50%\n", BLOCKS[1])
    assert read(tmp_path, written).spec.guard.accept == "2f1c9a7be04d3a6c8be1f5d2c9807a4e6b3d1f05"


@pytest.mark.parametrize(
    ("says", "figure"),
    [
        ("five seconds later", command._ASKED_S == 5),
        ("go on for eight seconds", command._STOPPING_S == 8),
        ("at least ten", guard.FLOOR == 10),
    ],
)
def test_figures_are_those_of_the_code(says: str, figure: bool) -> None:  # a fact, no switch
    assert says in PAGE
    assert figure
