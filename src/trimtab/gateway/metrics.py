"""Counting without locks: plain numbers while serving, Prometheus families when asked.

Everything happens on one event loop, so an increment is an increment. The families, their labels
and buckets are those of `trimtab.domain.telemetry`. What one gateway counted is a `Count`, and the
counts of several gateways add up to what the service did.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from trimtab.domain import telemetry
from trimtab.domain.counts import Buckets, Count, Labels, Sample
from trimtab.domain.telemetry import METRICS

SAMPLES = 50
"""Samples that are put into words at once: half a millisecond of the library."""
_COMBINE: Mapping[str, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


class Histogram:
    """Values, and the buckets they are sorted into when there are many or somebody asks.

    `observe` is the `append` of a list: one value costs next to nothing.
    """

    __slots__ = ("_bounds", "_counts", "_total", "_unsorted", "observe")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._total = 0.0
        self._unsorted: list[float] = []
        self.observe: Callable[[float], None] = self._unsorted.append

    def sort(self) -> bool:
        """Put what was observed into its buckets; whether anything was."""
        if not self._unsorted:
            return False
        values = np.array(self._unsorted)
        self._unsorted.clear()
        self.take(values)
        return True

    def take(self, values: NDArray[np.float64]) -> None:
        """Observe many values."""
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._total += float(values.sum())

    def add(self, buckets: Buckets) -> None:
        """Count what was counted elsewhere with the same bounds."""
        counts, total = buckets
        if len(counts) == len(self._counts):
            self._counts += np.array(counts)
            self._total += total

    @property
    def buckets(self) -> Buckets:
        """What was observed so far."""
        self.sort()
        return self._counts.tolist(), self._total


@dataclass(frozen=True, slots=True)
class Totals:
    """What several processes counted, by metric and labels; `since` (epoch seconds) at the most."""

    since: float
    numbers: dict[telemetry.Metric, dict[Labels, float]]
    histograms: dict[telemetry.Metric, dict[Labels, Histogram]]


class Meter:
    """All counters and histograms of one gateway; gauges are read when somebody asks.

    `others` are the counts of the other processes as they were when somebody last looked, which
    `collect` adds.
    """

    def __init__(self) -> None:
        self.others: tuple[Count, ...] = ()
        self._counters: dict[str, dict[Labels, int]] = {
            metric.name: {} for metric in METRICS if metric.kind == "counter"
        }
        self._histograms: dict[str, dict[Labels, Histogram]] = {
            metric.name: {} for metric in METRICS if metric.kind == "histogram"
        }
        self._gauges: dict[str, Callable[[], Iterable[Sample]]] = {}
        self._since = time.time()
        self._settle: list[Callable[[], None]] = []

    def settle_first(self, settle: Callable[[], None]) -> None:
        """Call `settle` before histograms are read: not all that it observed may be in them."""
        self._settle.append(settle)

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

    def observed(self, metric: telemetry.Metric) -> dict[Labels, Histogram]:
        """The histograms of a family by labels."""
        self._settled()
        return self._histograms[metric.name]

    def so_far(self) -> Count:
        """What this gateway counted, and its gauges as they are now."""
        self._settled()
        return Count(
            {name: list(values.items()) for name, values in self._counters.items()},
            {
                name: [(labels, histogram.buckets) for labels, histogram in values.items()]
                for name, values in self._histograms.items()
            },
            {name: list(read()) for name, read in self._gauges.items()},
            since=self._since,
        )

    def go_on(self, count: Count) -> None:
        """Begin where an earlier process ended, so that nothing that was counted falls."""
        self._since = count.since
        for metric in METRICS:
            for labels, value in count.counters.get(metric.name, ()):
                self.count(metric, labels, int(value))
            for labels, buckets in count.histograms.get(metric.name, ()):
                self.histogram(metric, labels).add(buckets)

    def histograms(self) -> list[Histogram]:
        """Every histogram."""
        self._settled()
        return [each for of_metric in self._histograms.values() for each in of_metric.values()]

    def _settled(self) -> None:
        for settle in self._settle:
            settle()

    def totals(self) -> Totals:
        """What all processes together have counted, and their gauges."""
        counts = [self.so_far(), *self.others]
        return Totals(
            min(count.since for count in counts),
            {metric: _numbers(metric, counts) for metric in METRICS if metric.kind != "histogram"},
            {metric: _summed(metric, counts) for metric in METRICS if metric.kind == "histogram"},
        )

    def collect(self) -> Iterator[Metric]:
        """Every family of all processes."""
        totals = self.totals()
        for metric in METRICS:
            if metric.kind == "histogram":
                yield _histogram_family(metric, totals.histograms[metric])
            else:
                yield _number_family(metric, totals.numbers[metric])

    def exposition(self) -> Iterator[bytes]:
        """The text format of Prometheus in pieces, none of which takes long to make."""
        for family in self.collect():
            yield from _pieces(family)


class _Piece(Collector):
    """A family, or a part of one, to be put into words."""

    def __init__(self, family: Metric, samples: slice) -> None:
        self._part = Metric(family.name, family.documentation, family.type, family.unit)
        self._part.samples = family.samples[samples]

    def collect(self) -> Iterator[Metric]:
        """It alone."""
        yield self._part


def _pieces(family: Metric) -> Iterator[bytes]:
    """What a family is comes before the first of its samples alone."""
    for start in range(0, max(1, len(family.samples)), SAMPLES):
        text = generate_latest(_Piece(family, slice(start, start + SAMPLES)))
        yield text if start == 0 else text.split(b"\n", 2)[2]


def _numbers(metric: telemetry.Metric, counts: Iterable[Count]) -> dict[Labels, float]:
    """The values of a counter or gauge over all processes."""
    combine = _COMBINE[metric.across]
    total: dict[Labels, float] = {}
    for count in counts:
        found = count.counters if metric.kind == "counter" else count.gauges
        for labels, value in found.get(metric.name, ()):
            total[labels] = combine(total[labels], value) if labels in total else value
    return total


def _summed(metric: telemetry.Metric, counts: Iterable[Count]) -> dict[Labels, Histogram]:
    total: dict[Labels, Histogram] = {}
    for count in counts:
        for labels, counted in count.histograms.get(metric.name, ()):
            total.setdefault(labels, Histogram(metric.buckets)).add(counted)
    return total


def _number_family(metric: telemetry.Metric, values: Mapping[Labels, float]) -> Metric:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram_family(metric: telemetry.Metric, values: Mapping[Labels, Histogram]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*map(str, metric.buckets), "+Inf"]
    for labels, histogram in values.items():
        counts, sum_of_values = histogram.buckets
        below = np.cumsum(counts).tolist()
        family.add_metric(labels, list(zip(bounds, below, strict=True)), sum_of_values)
    return family
