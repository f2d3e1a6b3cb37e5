"""What one process counted, as it leaves it for others to add up and to show."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from trimtab.domain.telemetry import METRICS

Labels = tuple[str, ...]
Sample = tuple[Labels, float]
Buckets = tuple[list[int], float]
"""Counts per bucket (the last is above every bound) and the sum of the values."""

_Value = TypeVar("_Value")
_PLACES = {m.name: m.labels.index("release") for m in METRICS if "release" in m.labels}


class Count(msgspec.Struct, frozen=True):
    """Everything that one process counted, by name of the metric, since a time in epoch seconds.

    Its gauges are those of a living process for `lasts` seconds.
    """

    counters: dict[str, list[tuple[Labels, int | float]]] = {}
    histograms: dict[str, list[tuple[Labels, Buckets]]] = {}
    gauges: dict[str, list[Sample]] = {}
    lasts: float = 5.0
    since: float = 0.0

    def with_names(self, names: Mapping[str, str]) -> "Count":
        """The same with releases called by `names`; one that is not named keeps its digest."""
        return Count(
            {metric: _named(metric, values, names) for metric, values in self.counters.items()},
            {metric: _named(metric, values, names) for metric, values in self.histograms.items()},
            {metric: _named(metric, values, names) for metric, values in self.gauges.items()},
            self.lasts,
            self.since,
        )


def _named(
    metric: str, values: list[tuple[Labels, _Value]], names: Mapping[str, str]
) -> list[tuple[Labels, _Value]]:
    place = _PLACES.get(metric)
    if place is None:
        return values
    return [
        ((*labels[:place], names.get(labels[place], labels[place]), *labels[place + 1 :]), value)
        for labels, value in values
    ]
