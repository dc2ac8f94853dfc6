"""The gateway as a process, on files that are damaged or cannot be read."""

import signal
from pathlib import Path

import pytest

from tests.cli.command import bellpull
from tests.gateway.github import payload
from tests.gateway.process import Folder, ask, deliver

GARBAGE = b"not a database, but long enough to be looked at as one " * 100


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def moved(folder: Folder, name: str) -> list[Path]:
    return sorted((folder.path / "data").glob(f"{name}.damaged-*Z"))


def test_a_damaged_journal_is_moved_aside_and_said_until_it_is_acknowledged(folder: Folder) -> None:
    """R10: after a kill and damage it starts, takes pushes, resets agents, and says so until somebody saw it."""
    folder.enroll()
    with folder.running() as gateway:
        assert deliver(gateway.hooks, payload()).status == 202
        gateway.stop(signal.SIGKILL)
    (folder.path / "data" / "journal.db-wal").unlink()
    (folder.path / "data" / "journal.db").write_bytes(GARBAGE)
    for _ in range(2):
        with folder.running() as gateway:
            answer = ask(f"{gateway.console}/readyz")
            assert (answer.status, answer.json()["state"]) == (200, "degraded")
            (problem,) = answer.json()["problems"]
            assert "journal.db: file is not a database: moved to journal.damaged-" in problem
            assert "bellpull gateway ack-damage" in problem
            assert deliver(gateway.hooks, payload(), delivery="d2").status == 202
    with folder.running() as gateway:
        ended = bellpull("gateway", "ack-damage", "--config", folder.path / "gateway.yaml")
        assert (ended.code, ended.out.count("\n"), ended.err) == (0, 1, "acknowledged\n")
        assert ask(f"{gateway.console}/readyz").json() == {"state": "ready"}
    (kept,) = moved(folder, "journal")
    assert kept.read_bytes() == GARBAGE
    assert "the journal was damaged" in [line["event"] for line in folder.lines()]


def test_there_may_be_nothing_to_acknowledge(folder: Folder) -> None:
    ended = bellpull("gateway", "--config", folder.path / "gateway.yaml", "ack-damage")
    assert (ended.code, ended.out, ended.err) == (0, "", "there is nothing to acknowledge\n")


def test_a_damaged_state_is_moved_aside_with_a_line_in_the_log(folder: Folder) -> None:
    """R9: it costs a round of heartbeats."""
    (folder.path / "data").mkdir()
    (folder.path / "data" / "state.db").write_bytes(GARBAGE)
    with folder.running() as gateway:
        assert ask(f"{gateway.console}/readyz").json() == {"state": "ready"}
    (kept,) = moved(folder, "state")
    assert kept.read_bytes() == GARBAGE
    assert "the state was damaged" in [line["event"] for line in folder.lines()]


@pytest.mark.parametrize("name", ["journal.db", "state.db"])
def test_a_file_of_another_major_version_ends_the_gateway_and_is_left_alone(folder: Folder, name: str) -> None:
    """R51: the message says which, and what to do."""
    with folder.running() as gateway:
        gateway.stop()
    path = folder.path / "data" / name
    folder.change(name, "UPDATE schema SET version = 2")
    before = path.read_bytes()
    ended = bellpull("gateway", "--config", folder.path / "gateway.yaml", env={"OLD_SECRET": "x"})
    assert ended.code == 1
    assert f"{name}: is of version 2, and this program knows version 1" in ended.err
    assert path.read_bytes() == before


def test_what_is_no_file_is_left_alone(folder: Folder) -> None:
    (folder.path / "data" / "journal.db").mkdir(parents=True)
    ended = bellpull("gateway", "--config", folder.path / "gateway.yaml", env={"OLD_SECRET": "x"})
    assert ended.code == 1
    assert "journal.db: cannot be looked at or moved aside: is not a file" in ended.err
    assert (folder.path / "data" / "journal.db").is_dir()
