"""Metrics of one program, in a registry of its own; the only module that knows prometheus-client.

Labels come from closed sets (a source's name, a reason, a word), never from a payload: a metric for each value that
somebody sends would fill the memory.
"""

from collections.abc import Sequence
from typing import Final

import prometheus_client as prometheus
from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Counter", "Gauge", "Histogram", "Metrics"]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """A registry, with the process's own figures in it."""

    def __init__(self) -> None:
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Make a counter; `name` ends in `_total` when shown.

        Raises:
            ValueError: the name is taken, or no name.
        """
        return Counter(name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Make a gauge.

        Raises:
            ValueError: the name is taken, or no name.
        """
        return Gauge(name, text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        """Make a histogram, by default of seconds from a millisecond to a minute.

        Raises:
            ValueError: the name is taken, or no name.
        """
        return Histogram(name, text, labels, registry=self._registry, buckets=buckets)

    def render(self) -> tuple[bytes, str]:
        """Return what a scrape is answered: the body, and its content type."""
        return prometheus.generate_latest(self._registry), prometheus.CONTENT_TYPE_LATEST


prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
