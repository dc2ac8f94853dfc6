"""A watched value follows its files, and stays what it was while they cannot be read."""

import asyncio
import os
from pathlib import Path

import pytest

from bellpull.runtime.files import write_atomic
from bellpull.runtime.reload import Watched, Watcher


def _text(path: Path) -> str:
    content = path.read_text()
    if content == "bad":
        raise ValueError("is bad")
    return content


def _watched(path: Path) -> Watched[str]:
    return Watcher().watch("text", [path], lambda: _text(path))


def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("one")
    reads: list[str] = []

    def read() -> str:
        reads.append(_text(path))
        return reads[-1]

    watched = Watcher().watch("text", [path], read)
    assert not watched.look()
    assert reads == ["one"]


def test_a_changed_file_is_read_again_once(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("one")
    watched = _watched(path)
    path.write_text("another")
    assert watched.look()
    assert watched.value == "another"
    assert not watched.look()


def test_a_file_of_the_same_size_and_time_in_its_place_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("one")
    stat = path.stat()
    watched = _watched(path)
    write_atomic(path, b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert watched.look()
    assert watched.value == "two"


def test_a_link_turned_to_another_folder_is_seen(tmp_path: Path) -> None:
    """As Kubernetes changes a mounted Secret."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "value").write_text(name)
    (tmp_path / "data").symlink_to("a")
    watched = _watched(tmp_path / "data" / "value")
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(tmp_path / "data")
    assert watched.look()
    assert watched.value == "b"


def test_a_folder_changes_with_what_is_in_it(tmp_path: Path) -> None:
    watched = Watcher().watch("all", [tmp_path], lambda: sorted(_text(path) for path in tmp_path.iterdir()))
    (tmp_path / "a").write_text("one")
    assert watched.look()
    (tmp_path / "a").write_text("other")
    assert watched.look()
    (tmp_path / "b").symlink_to("nowhere")
    assert not watched.look()
    (tmp_path / "b").unlink()
    (tmp_path / "a").unlink()
    assert watched.look()
    assert watched.value == []


def test_what_cannot_be_read_any_more_stays_what_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "value"
    path.write_text("good")
    watched = _watched(path)
    for breaks in (lambda: path.write_text("bad"), path.unlink):
        breaks()
        assert not watched.look()
        assert not watched.look()
        assert watched.value == "good"
    assert [line.count("keeping the old value") for line in capsys.readouterr().err.splitlines()] == [1, 1]
    path.write_text("better")
    assert watched.look()
    assert watched.value == "better"


def test_the_first_reading_must_succeed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _watched(tmp_path / "absent")


async def test_who_asked_is_told_on_the_loop_after_the_value_is_there(tmp_path: Path) -> None:
    path = tmp_path / "value"
    await asyncio.to_thread(path.write_text, "one")
    watcher = Watcher(interval_s=0.01)
    watched = await asyncio.to_thread(watcher.watch, "text", [path], lambda: _text(path))
    told: asyncio.Future[tuple[str, object]] = asyncio.get_running_loop().create_future()
    watched.on_change(lambda: told.set_result((watched.value, asyncio.get_running_loop())))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watcher.run())
        await asyncio.to_thread(write_atomic, path, b"two")
        assert await told == ("two", asyncio.get_running_loop())
        running.cancel()
