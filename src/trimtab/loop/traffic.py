"""What a deployment's callers got, for the status screen: counts, rate, latency."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from trimtab.domain.records import Floats, Outcome, Rows

WINDOW_SECONDS = 60.0
SAMPLES = 50_000


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """Requests since the log began, and rate and latency of the last minute of the host's clock.

    `failed` are requests that got no answer for which the caller is not to blame: `failed` and
    `shed`. Quantiles are those of requests that a release was asked for, and None without one in
    the window.
    """

    total: int
    failed: int
    outcomes: dict[str, int]
    rate_per_second: float
    p50_seconds: float | None
    p99_seconds: float | None


@dataclass(slots=True)
class Traffic:
    """Counts the final answer of each request once, by its first row."""

    outcomes: dict[str, int] = field(default_factory=dict)
    _window: deque[tuple[Floats, Floats]] = field(default_factory=deque)
    _held: int = 0

    def observe(self, rows: Rows) -> None:
        """Count a segment."""
        asked = rows.take(rows.fixed["final"] & (rows.fixed["row"] == 0))
        outcomes = asked.texts("outcome")
        for name, count in zip(outcomes.names, outcomes.counts().tolist(), strict=True):
            if count:
                self.outcomes[name] = self.outcomes.get(name, 0) + count
        received = asked.fixed["received_at"].astype(np.float64)
        if not len(received):
            return
        self._window.append((received, _seconds(asked)))
        self._held += len(received)
        self._forget(float(received.min()) - WINDOW_SECONDS)
        while len(self._window) > 1 and self._held > SAMPLES:
            self._drop()

    def _forget(self, before: float) -> None:
        """Let go of the segments at the front whose requests all came before this time: nobody may
        ask for a report for days."""
        while self._window and not (self._window[0][0] > before).any():
            self._drop()

    def _drop(self) -> None:
        self._held -= len(self._window.popleft()[0])

    def report(self, now: float) -> TrafficReport:
        """The counters at `now`, epoch seconds."""
        self._forget(now - WINDOW_SECONDS)
        empty = np.empty(0)
        received = np.concatenate([empty, *(times for times, _ in self._window)])
        seconds = np.concatenate([empty, *(spent for _, spent in self._window)])
        recent = received > now - WINDOW_SECONDS
        answered = seconds[recent & np.isfinite(seconds)]
        quantiles = np.quantile(answered, [0.5, 0.99]).tolist() if len(answered) else None
        span = now - float(received[recent].min()) if recent.any() else WINDOW_SECONDS
        return TrafficReport(
            total=sum(self.outcomes.values()),
            failed=self.outcomes.get(Outcome.FAILED, 0) + self.outcomes.get(Outcome.SHED, 0),
            outcomes=dict(self.outcomes),
            rate_per_second=float(recent.sum()) / max(1.0, span),
            p50_seconds=quantiles[0] if quantiles else None,
            p99_seconds=quantiles[1] if quantiles else None,
        )


def _seconds(rows: Rows) -> Floats:
    """How long each answer took that somebody waited for; NaN where no release was asked."""
    asked = rows.has("outcome", Outcome.OK) | rows.has("outcome", Outcome.FAILED)
    return np.where(asked & rows.prompt, rows.fixed["total_seconds"].astype(np.float64), np.nan)
