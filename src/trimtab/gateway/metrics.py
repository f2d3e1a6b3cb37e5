"""Counting without locks: plain numbers while serving, Prometheus families when asked.

Everything happens on one event loop, so an increment is an increment. The families, their labels
and buckets are those of `trimtab.domain.telemetry`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from trimtab.domain import telemetry

Labels = tuple[str, ...]
Sample = tuple[Labels, float]


class Histogram:
    """Counts per bucket (the last is above every bound) and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Meter(Collector):
    """All counters and histograms of one gateway; gauges are read when somebody asks."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, int]] = {
            metric.name: {} for metric in telemetry.METRICS if metric.kind == "counter"
        }
        self._histograms: dict[str, dict[Labels, Histogram]] = {
            metric.name: {} for metric in telemetry.METRICS if metric.kind == "histogram"
        }
        self._gauges: dict[str, Callable[[], Iterable[Sample]]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def count(self, metric: telemetry.Metric, labels: Labels, by: int = 1) -> None:
        """Add to a counter."""
        values = self._counters[metric.name]
        values[labels] = values.get(labels, 0) + by

    def histogram(self, metric: telemetry.Metric, labels: Labels) -> Histogram:
        """The histogram of these labels, for callers that keep it."""
        found = self._histograms[metric.name].get(labels)
        if found is None:
            found = self._histograms[metric.name][labels] = Histogram(metric.buckets)
        return found

    def gauge(self, metric: telemetry.Metric, read: Callable[[], Iterable[Sample]]) -> None:
        """Where the values of a gauge come from."""
        self._gauges[metric.name] = read

    def counted(self, metric: telemetry.Metric) -> dict[Labels, int]:
        """The values of a counter by labels."""
        return self._counters[metric.name]

    def collect(self) -> Iterator[Metric]:
        """Every family, for `prometheus_client`."""
        for metric in telemetry.METRICS:
            if metric.kind == "counter":
                yield self._counter_family(metric)
            elif metric.kind == "histogram":
                yield self._histogram_family(metric)
            else:
                yield self._gauge_family(metric)

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector, so no name can clash."""
        return []

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)

    def _counter_family(self, metric: telemetry.Metric) -> Metric:
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in self._counters[metric.name].items():
            family.add_metric(labels, value)
        return family

    def _gauge_family(self, metric: telemetry.Metric) -> Metric:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        read = self._gauges.get(metric.name)
        for labels, value in read() if read else ():
            family.add_metric(labels, value)
        return family

    def _histogram_family(self, metric: telemetry.Metric) -> Metric:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, histogram in self._histograms[metric.name].items():
            buckets: list[tuple[str, float]] = []
            below = 0
            bounds = [*map(str, histogram.bounds), "+Inf"]
            for bound, count in zip(bounds, histogram.counts, strict=True):
                below += count
                buckets.append((bound, below))
            family.add_metric(labels, buckets, histogram.total)
        return family
