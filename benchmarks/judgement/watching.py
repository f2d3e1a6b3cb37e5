"""trimtab by its defaults over the rows of a stream, and what it raises."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from judgement.label_free import inputs_of, labels_of, outputs_of
from judgement.streams import DAY, Stream
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings

HOUR = 3600.0
BUDGET = 12.0
"""False pages a year that are allowed by default."""


@dataclass(frozen=True)
class Raised:
    """An alarm: its row, who hears of it, and the columns that stand out, loudest first.

    An incident that later concerns others (a note that becomes a page) is raised again."""

    row: int
    tier: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Live rows `first` up to `end`, judged together when the clock says `clock`."""

    first: int
    end: int
    clock: float


class Deployment:
    """trimtab by its defaults against the reference of a stream, `budget` false pages a year.

    Where rows have a time they are judged by days, else `block` of them make an hour. Labels come
    with the rows. `groups` are protected columns.
    """

    def __init__(
        self, stream: Stream, block: int, groups: tuple[str, ...] = (), budget: float = BUDGET
    ) -> None:
        self._stream, self._block = stream, block
        self._plan = MonitorPlan(groups=groups, false_alarms_per_year=budget)
        rows = stream.reference
        self._timed = "timestamp" in rows
        given = Reference(
            stream.signature,
            inputs_of(stream, rows),
            outputs_of(stream, rows),
            labels_of(rows),
            seconds(rows) if self._timed else None,
            groups=groups,
        )
        self._profile = build_profile(given)

    def begin(self) -> "Watched":
        """Begin to watch."""
        spec = DeploymentSpec(name="d", model="m", clock="event", monitor=self._plan)
        return Watched(Monitors.start(spec, self._stream.signature, self._profile, "r", 0.0))

    def watch(self, watched: "Watched", live: pd.DataFrame) -> Iterator[tuple[int, list[Raised]]]:
        """After each part, the rows seen of `live` and what was raised."""
        labels = labels_of(live)
        at = seconds(live) if self._timed else self._hours(len(live), watched.parts)
        given = inputs_of(self._stream, live), outputs_of(self._stream, live)
        rows = Rows(_fixed(at), *given)
        for part in self._parts(at):
            place = np.arange(part.first, part.end)
            yield part.end, watched.judge(rows.take(place), labels[place], part)

    def _hours(self, n: int, past: int) -> NDArray[np.float64]:
        """Times of `n` rows that come after so many hours."""
        return np.asarray(past * HOUR + np.arange(n) * (HOUR / self._block))

    def _parts(self, at: NDArray[np.float64]) -> Iterator[Part]:
        """Whole hours of `block` rows, or days."""
        unit = DAY if self._timed else HOUR
        if self._timed:
            firsts = np.flatnonzero(np.diff(at // DAY, prepend=-1.0))
        else:
            firsts = np.arange(0, at.size - self._block + 1, self._block)
        ends = np.append(firsts[1:], at.size if self._timed else firsts[-1] + self._block)
        for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
            middle = at[(first + end) // 2]
            yield Part(first, end, (middle // unit + 1.0) * unit + HOUR / 10.0)


@dataclass
class Watched:
    """Monitors in the midst of it, which can be copied by what is saved of them."""

    monitors: Monitors
    still: dict[str, Incident] = field(default_factory=dict)
    parts: int = 0

    def copy(self) -> "Watched":
        """The same again."""
        return Watched(Monitors.load(self.monitors.dump()), dict(self.still), self.parts)

    def judge(self, rows: Rows, labels: NDArray[Any], part: Part) -> list[Raised]:
        """Take in the rows of a part with their labels, and judge."""
        self.monitors.observe(rows)
        self.monitors.learn(Labelled(rows, labels, rows.fixed["event_time"]))
        self.parts += 1
        report = self.monitors.assess(part.clock, tuple(self.still.values()), Surroundings())
        told = (*report.opened, *report.updated)
        fresh = [each for each in told if each.tier != self.tier(each.id)]
        self.still |= {each.id: each for each in told}
        for name in report.closed:
            del self.still[name]
        return [Raised(part.end - 1, each.tier, columns_of(each.verdicts)) for each in fresh]

    def tier(self, incident: str) -> str:
        """Who has heard of the incident so far; empty when nobody has."""
        return self.still[incident].tier if incident in self.still else ""


def seconds(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Times of the rows since the epoch."""
    since = (rows["timestamp"] - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    return np.asarray(since, dtype=np.float64)


def _fixed(at: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """What the log says of rows that were answered."""
    n = at.size
    return {
        "request_id": np.arange(n).astype(str).astype(object),
        "release": np.full(n, "r", dtype=object),
        "mode": np.full(n, "stable", dtype=object),
        "outcome": np.full(n, "ok", dtype=object),
        "event_time": at,
        "total_seconds": np.full(n, 0.01),
    }


def over(deployment: Deployment, live: pd.DataFrame) -> list[Raised]:
    """Everything raised over live rows."""
    return [each for _, raised in deployment.watch(deployment.begin(), live) for each in raised]


def columns_of(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What stands out, by evidence over threshold: a column, or the name of another stream."""
    loud = sorted(verdicts, key=lambda v: v.threshold_log10 - v.evidence_log10)
    return tuple(dict.fromkeys(v.scope.get("column") or stream_of(v.signal) for v in loud))


def stream_of(signal: str) -> str:
    """The signals that read labels are about the stream `error`."""
    name, _, rest = signal.partition(":")
    return "error" if name in ("quality", "calibration", "bias") else rest or name
