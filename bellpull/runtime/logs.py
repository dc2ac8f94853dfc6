"""Logs: one JSON object a line, on standard error; the only module that knows structlog.

Lines are plain ASCII, whatever text goes in: control and bidirectional characters of a payload are seen as what
they are, and lone surrogates lose no line. Those of one turn of the event loop are written at its end, together: each
write is a call into the system. What libraries say goes the same way, without the text of an HTTP library's errors:
it repeats headers, and a header may be a secret.
"""

import atexit
import json
import logging
import sys
import threading
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TextIO, cast

import orjson
import structlog

from bellpull.runtime.clock import utc_now
from bellpull.runtime.turn import Turn

__all__ = ["Logger", "configure", "logger"]

_Fields = MutableMapping[str, Any]
_RANKS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}


class Logger(Protocol):
    """What a module logs with: a short constant sentence, and fields."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Note what only a developer asks for."""

    def info(self, event: str, **fields: Any) -> Any:
        """Note what happened."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Note what somebody should look at."""

    def error(self, event: str, **fields: Any) -> Any:
        """Note what went wrong."""

    def exception(self, event: str, **fields: Any) -> Any:
        """Note what went wrong with the exception being handled."""

    def bind(self, **fields: Any) -> Self:
        """Return a logger that adds `fields` to each line."""
        ...


@dataclass(slots=True)
class _Sink:
    program: str
    stream: TextIO | None
    rank: int


_sink: Final = _Sink("bellpull", None, _RANKS["warning"])


def configure(program: str, *, stream: TextIO | None = None, level: str = "info") -> None:
    """Say who logs, where to (standard error) and from which level on; until then warnings go to standard error."""
    _sink.program, _sink.stream, _sink.rank = program, stream, _RANKS[level]
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(logging.WARNING)


def logger(name: str) -> Logger:
    """Return the logger of a part, such as `gateway.hooks`."""
    return cast("Logger", structlog.get_logger(part=name).bind())


def _line(_: object, method: str, said: _Fields) -> str:
    """Return the line, or raise DropEvent."""
    if _RANKS[method] < _sink.rank:
        raise structlog.DropEvent
    if "exc_info" in said:
        said = structlog.processors.format_exc_info(None, method, said)
    time = utc_now().isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    level = "error" if method == "exception" else method
    return _render({"time": time, "program": _sink.program, **said, "level": level})


def _render(fields: _Fields) -> str:
    try:
        line = orjson.dumps(fields, default=_foreign, option=orjson.OPT_UTC_Z)
    except TypeError:
        line = b"\xff"
    if line.isascii() and b"\x7f" not in line:
        return line.decode()
    return json.dumps(fields, default=_foreign, ensure_ascii=True).replace("\x7f", "\\u007f")


def _foreign(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _write(lines: Sequence[str]) -> None:
    """Write to the sink as it is at that moment, so that loggers may be made before it is set."""
    stream = _sink.stream or sys.stderr
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


class _Lines(threading.local):
    """What this thread has still to write."""

    def __init__(self) -> None:
        self.turn: Turn[str] = Turn(_write)


_lines: Final = _Lines()
atexit.register(lambda: _lines.turn.end())


class _Writer:
    """Writes a line, at the end of the turn in a thread that runs a loop, and at once in any other."""

    def msg(self, line: str) -> None:
        try:
            _lines.turn.add(line)
        except RuntimeError:  # no loop runs here
            _write([line])

    debug = info = warning = error = exception = critical = msg


class _Forward(logging.Handler):
    """What libraries say, as lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        log = logger(record.name)
        if kind is not None and kind.__module__.startswith("aiohttp"):
            log.debug(record.getMessage(), error=kind.__name__)  # a sender's mistake, repeated at its will
        elif record.levelno >= logging.ERROR:
            log.error(record.getMessage(), exc_info=record.exc_info)
        else:
            log.warning(record.getMessage(), exc_info=record.exc_info)


structlog.configure(
    processors=[_line],
    wrapper_class=structlog.make_filtering_bound_logger(0),
    logger_factory=lambda *_: _Writer(),
    cache_logger_on_first_use=True,
)
