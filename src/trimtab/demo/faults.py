"""What the demonstration breaks at the source, and when: chosen by a seed, known to nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Literal

from trimtab.examples.flights.faults import Span, metric_units, weather_lost

if TYPE_CHECKING:
    import pyarrow as pa

_ORIGINS = ("EWR", "JFK", "LGA")
_EARLIEST_RELEASE = datetime(2013, 4, 12, 16, tzinfo=UTC)
_EARLIEST_FEED = datetime(2013, 10, 27, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Feed:
    """A break of the weather feed; `origin` is None when every airport has it."""

    kind: Literal["metric_units", "weather_lost"]
    span: Span
    origin: str | None = None

    @property
    def told(self) -> str:
        """What a person is told that happened."""
        if self.origin is None:
            return "the weather feed arrives in metric units"
        return f"the weather feed sends nothing for {self.origin}"

    def put_into(self, flights: pa.Table) -> pa.Table:
        """The flights as a caller would ask about them while the feed is broken."""
        if self.origin is None:
            return metric_units(flights, self.span)
        return weather_lost(flights, self.span, self.origin)


@dataclass(frozen=True, slots=True)
class Faults:
    """When the bad release goes out, and how the feed breaks."""

    release_at: datetime
    feed: Feed

    @classmethod
    def choose(cls, seed: int) -> Faults:
        """A day in mid-April, and a week or more of late October or November."""
        random = Random(seed)
        release_at = _EARLIEST_RELEASE + timedelta(days=random.randrange(7))
        start = _EARLIEST_FEED + timedelta(days=random.randrange(22))
        span = Span(start, start + timedelta(days=random.randrange(7, 11)))
        if random.random() < 0.5:
            return cls(release_at, Feed("metric_units", span))
        return cls(release_at, Feed("weather_lost", span, random.choice(_ORIGINS)))
