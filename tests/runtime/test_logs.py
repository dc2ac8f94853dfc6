"""A log line is one JSON object in ASCII, whatever went in."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bellpull.runtime import logs
from bellpull.runtime.secret import Secret


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logs.configure("bellpull", level="warning")
    root.handlers[:] = handlers


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_and_what() -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    logs.logger("gateway.hooks").bind(source="github").info("accepted", events=2)
    (line,) = _lines(stream)
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "program": "gateway",
        "part": "gateway.hooks",
        "level": "info",
        "event": "accepted",
        "source": "github",
        "events": 2,
    }


def test_a_logger_made_before_goes_where_was_said_last() -> None:
    log = logs.logger("early")
    first, second = io.StringIO(), io.StringIO()
    logs.configure("a", stream=first)
    log.info("one")
    logs.configure("b", stream=second, level="error")
    log.info("two")
    log.error("three")
    assert [line["event"] for line in _lines(first)] == ["one"]
    assert [(line["event"], line["program"]) for line in _lines(second)] == [("three", "b")]


def test_no_secret_is_logged() -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    logs.logger("x").warning("odd", secret=Secret(b"hunter2"), many=[Secret(b"hunter2")], body=b"hunter2")
    assert "hunter2" not in stream.getvalue()
    assert _lines(stream)[0]["body"] == "<7 bytes>"


@given(text=st.text(st.characters()) | st.sampled_from(["\u202e", "\ud800", "\x7f\x9b31m", "a\nb"]))
@example(text="\x7f")
@example(text="\u202e")
def test_any_text_is_one_line_of_ascii_and_reads_back(text: str) -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    logs.logger("x").info("said", text=text)
    assert stream.getvalue().count("\n") == 1
    assert all(" " <= character < "\x7f" for character in stream.getvalue().rstrip("\n"))
    assert _lines(stream)[0]["text"] == text


def test_a_number_of_any_size_loses_no_line() -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    logs.logger("x").info("counted", number=2**70)
    assert _lines(stream)[0]["number"] == 2**70


def test_what_a_library_says_is_a_line_of_ours() -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    logging.getLogger("asyncio").error("never %s", "retrieved")
    (line,) = _lines(stream)
    assert (line["part"], line["level"], line["event"]) == ("asyncio", "error", "never retrieved")


def test_a_defect_shows_where_it_came_from() -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    try:
        int("x")
    except ValueError:
        logs.logger("x").exception("failed")
    assert "test_logs.py" in str(_lines(stream)[0]["exception"])


def test_what_a_sender_wrote_into_a_broken_request_is_not_repeated() -> None:
    """The HTTP library's errors hold the offending header, which may be a token."""
    stream = io.StringIO()
    logs.configure("gateway", stream=stream, level="debug")
    error = aiohttp.http_exceptions.BadHttpMessage("Invalid header: b'X-Gitlab-Token: hunter2\\x00'")
    logging.getLogger("aiohttp.server").error("Error handling request", exc_info=error)
    assert "hunter2" not in stream.getvalue()
    assert _lines(stream)[0]["error"] == "BadHttpMessage"


class _Counting(io.StringIO):
    """A stream that keeps what each call wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str, /) -> int:
        self.writes.append(text)
        return super().write(text)


def test_the_lines_of_one_turn_of_the_loop_are_written_at_once_and_none_is_left_at_its_end() -> None:
    stream = _Counting()
    logs.configure("gateway", stream=stream)
    log = logs.logger("gateway.hooks")

    async def talk() -> None:
        log.info("one")
        log.info("two")
        assert stream.writes == []
        await asyncio.sleep(0.01)
        assert len(stream.writes) == 1
        log.info("three")

    asyncio.run(talk())
    log.info("four")
    assert [line["event"] for line in _lines(stream)] == ["one", "two", "three", "four"]


def test_a_thread_beside_the_loop_writes_its_own_lines() -> None:
    stream = io.StringIO()
    logs.configure("gateway", stream=stream)
    log = logs.logger("gateway.journal")

    async def talk() -> None:
        log.info("loop")
        await asyncio.to_thread(log.info, "thread")

    asyncio.run(talk())
    assert {line["event"] for line in _lines(stream)} == {"loop", "thread"}
