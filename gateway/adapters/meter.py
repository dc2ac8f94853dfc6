"""Figures of the gateway's files, for `/metrics`."""

from collections.abc import Callable, Mapping
from typing import Final

from bellpull.runtime.metrics import Metrics

__all__ = ["FileMetrics", "Meter"]

_GAUGES: Final[Mapping[str, tuple[str, str]]] = {
    "size": ("bellpull_file_bytes", "Size of the file, with what is free in it."),
    "used": ("bellpull_file_used_bytes", "What holds something in the file."),
    "limit": ("bellpull_file_limit_bytes", "What the file may hold now."),
    "log": ("bellpull_file_log_bytes", "What of the log beside the file is in use."),
    "rows": ("bellpull_file_rows", "Rows from the oldest to the newest."),
    "oldest": ("bellpull_file_oldest_timestamp_seconds", "When the oldest row was stored; 0 without one."),
    "free": ("bellpull_file_disk_free_bytes", "What is free on the disk, as of the last look."),
}


class FileMetrics:
    """The metrics; each file's are told apart by a label."""

    def __init__(self, metrics: Metrics) -> None:
        self._commits = metrics.histogram(
            "bellpull_file_commit_seconds", "A group of writes, with its sync to disk where it has one.", ("file",)
        )
        self._checkpoints = metrics.histogram(
            "bellpull_file_checkpoint_seconds", "Moving the log into the file.", ("file",)
        )
        self._refused = metrics.counter(
            "bellpull_file_writes_refused", "Writes that were not made, or not in time.", ("file",)
        )
        self._left_out = metrics.counter(
            "bellpull_file_rows_left_out", "Rows that hold what no program writes, and count no more.", ("file",)
        )
        self._gauges = {each: metrics.gauge(name, text, ("file",)) for each, (name, text) in _GAUGES.items()}

    def of(self, file: str) -> "Meter":
        """Return the meter of one file."""
        return Meter(
            commit=self._commits.labels(file).observe,
            checkpoint=self._checkpoints.labels(file).observe,
            refused=self._refused.labels(file).inc,
            left_out=self._left_out.labels(file).inc,
            show=lambda each, read: self._gauges[each].labels(file).set_function(read),
        )


class Meter:
    """Takes the figures of one file."""

    def __init__(
        self,
        *,
        commit: Callable[[float], None],
        checkpoint: Callable[[float], None],
        refused: Callable[[], None],
        left_out: Callable[[], None],
        show: Callable[[str, Callable[[], float]], None],
    ) -> None:
        self.commit = commit
        """Takes seconds."""
        self.checkpoint = checkpoint
        """Takes seconds."""
        self.refused = refused
        self.left_out = left_out
        self._show = show

    def show(self, figures: Mapping[str, Callable[[], float]]) -> None:
        """Show each of `figures`, by its name in `_GAUGES`, as it is when somebody looks."""
        for name, read in figures.items():
            self._show(name, read)
