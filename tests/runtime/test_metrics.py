"""A program's metrics are its own."""

import pytest

from bellpull.runtime.metrics import Metrics


def test_what_was_counted_is_rendered() -> None:
    metrics = Metrics()
    metrics.counter("bellpull_deliveries", "Deliveries.", ["outcome"]).labels("accepted").inc(2)
    metrics.gauge("bellpull_streams", "Streams.").set(3)
    metrics.histogram("bellpull_commit_seconds", "Commits.").observe(0.002)
    body, content_type = metrics.render()
    assert b'bellpull_deliveries_total{outcome="accepted"} 2.0\n' in body
    assert b"bellpull_streams 3.0\n" in body
    assert b'bellpull_commit_seconds_bucket{le="0.0025"} 1.0\n' in body
    assert b"process_resident_memory_bytes" in body
    assert content_type.startswith("text/plain")


def test_two_programs_in_one_process_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    one.gauge("bellpull_streams", "Streams.").set(3)
    other.gauge("bellpull_streams", "Streams.")
    assert b"bellpull_streams 0.0\n" in other.render()[0]


def test_a_name_is_taken_once() -> None:
    metrics = Metrics()
    metrics.gauge("bellpull_streams", "Streams.")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.gauge("bellpull_streams", "Streams.")
