"""Prometheus histograms with cached series: the library's `labels` takes 3 µs, twice per request."""

from __future__ import annotations

from prometheus_client import Histogram


class Timings:
    """A histogram of seconds, observed by label values in order."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._series: dict[tuple[str, ...], Histogram] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Record a duration."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._histogram.labels(*labels)
        series.observe(seconds)
