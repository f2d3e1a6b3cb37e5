"""A whole deployment: sixteen inputs, scores and labels, watched as trimtab does by its defaults.

Beside it fifty streams of the same rows under detectors that know nothing of each other. Rows come
250 an hour; labels come within the hour.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from judgement.alarms import Delays, delay
from judgement.faults import FAULTS, Fault, answered
from judgement.label_free import inputs_of, labels_of, outputs_of
from judgement.peers import Job, river
from judgement.streams import CENSUS, Stream, census, shuffled
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge.budget import YEAR
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings

HOUR = 3600.0
BLOCK = 250
YEARLY = round(YEAR / HOUR) * BLOCK
WARM, PATIENCE = 8_000, 8_000
BUDGET = 12.0
STREAMS = 50
FEWEST = 0.02
"""Share of the rows that a category must have to be one of the fifty streams."""


@dataclass(frozen=True)
class Raised:
    """An alarm: its row, who hears of it, and the columns that stand out, loudest first."""

    row: int
    tier: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Injected:
    """Faulty rows that come from row `since` of the null on, and what that does to the error."""

    fault: Fault
    since: int
    rows: pd.DataFrame
    harm: float


@cache
def pool() -> pd.DataFrame:
    """The live years, answered by the model that the faults are put to."""
    return answered(census()[1])


@cache
def known() -> pd.DataFrame:
    """The reference: the rows of 2015 that the model was not fitted on."""
    return answered(census()[0].iloc[1::2].reset_index(drop=True))


def null(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and live rows of the same years in random order: nothing changes."""
    rows = pool().sample(frac=1.0, random_state=seed, ignore_index=True)
    return rows.iloc[: len(known())], rows.iloc[len(known()) :].reset_index(drop=True)


def natural(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """2015 and the three years after it: inputs move a little, and it harms nobody."""
    return known(), shuffled(pool(), "year", seed)


def times(count: int, seed: int) -> list[int]:
    """Rows of the null at which faults begin, each the first of an hour; rising."""
    hours = np.arange(WARM, len(null(0)[1]) - PATIENCE) // BLOCK
    chosen = np.random.default_rng(seed).choice(np.unique(hours), count, replace=False)
    return [int(hour) * BLOCK for hour in np.sort(chosen)]


def injected(fault: Fault, since: int) -> Injected:
    """The fault on the rows of the null from `since` on."""
    late = null(0)[1].iloc[since : since + PATIENCE].reset_index(drop=True)
    broken = fault.change(late, np.random.default_rng(since))
    if fault.column:
        broken = answered(broken)
    return Injected(fault, since, broken, wrong(broken) - wrong(late))


def wrong(rows: pd.DataFrame) -> float:
    """The error."""
    return float((rows["y_true"] != rows["y_pred"]).mean())


class Deployment:
    """trimtab by its defaults against a reference, at a budget of false pages a year."""

    def __init__(self, reference: pd.DataFrame, budget: float = BUDGET) -> None:
        self._plan = MonitorPlan(false_alarms_per_year=budget)
        self._stream = Stream("", "", "binary", tuple(CENSUS), reference, reference.iloc[:0])
        inputs, outputs = inputs_of(self._stream, reference), outputs_of(self._stream, reference)
        given = Reference(self._stream.signature, inputs, outputs, labels_of(reference))
        self._profile = build_profile(given)

    def begin(self) -> "Watched":
        """Begin to watch."""
        spec = DeploymentSpec(name="d", model="m", clock="event", monitor=self._plan)
        return Watched(Monitors.start(spec, self._stream.signature, self._profile, "r", 0.0))

    def watch(self, watched: "Watched", live: pd.DataFrame) -> Iterator[tuple[int, list[Raised]]]:
        """After each hour, the rows seen of `live` and what was raised."""
        labels = labels_of(live)
        rows = Rows(_fixed(len(live), watched.hours), *self._columns(live))
        for first in range(0, len(live) - BLOCK + 1, BLOCK):
            part = np.arange(first, first + BLOCK)
            yield first + BLOCK, watched.hour(rows.take(part), labels[part], first + BLOCK - 1)

    def _columns(self, live: pd.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
        return inputs_of(self._stream, live), outputs_of(self._stream, live)


@dataclass
class Watched:
    """Monitors in the midst of it, which can be copied by what is saved of them."""

    monitors: Monitors
    still: dict[str, Incident] = field(default_factory=dict)
    hours: int = 0

    def copy(self) -> "Watched":
        """The same again."""
        return Watched(Monitors.load(self.monitors.dump()), dict(self.still), self.hours)

    def hour(self, rows: Rows, labels: NDArray[Any], last: int) -> list[Raised]:
        """Take in the rows of an hour, the last of which is row `last`, and judge."""
        self.monitors.observe(rows)
        self.monitors.learn(Labelled(rows, labels, rows.fixed["event_time"]))
        self.hours += 1
        clock = self.hours * HOUR + HOUR / 10.0
        report = self.monitors.assess(clock, tuple(self.still.values()), Surroundings())
        self.still |= {each.id: each for each in (*report.opened, *report.updated)}
        for name in report.closed:
            del self.still[name]
        return [Raised(last, each.tier, columns_of(each.verdicts)) for each in report.opened]


def _fixed(n: int, hours: int) -> dict[str, NDArray[Any]]:
    """What the log says of answered rows, `BLOCK` an hour after so many hours."""
    return {
        "request_id": np.arange(n).astype(str).astype(object),
        "release": np.full(n, "r", dtype=object),
        "mode": np.full(n, "stable", dtype=object),
        "outcome": np.full(n, "ok", dtype=object),
        "event_time": hours * HOUR + np.arange(n) * (HOUR / BLOCK),
        "total_seconds": np.full(n, 0.01),
    }


def over(pair: tuple[pd.DataFrame, pd.DataFrame], budget: float = BUDGET) -> list[Raised]:
    """Everything raised over live rows against their reference."""
    reference, live = pair
    deployment = Deployment(reference, budget)
    return [each for _, raised in deployment.watch(deployment.begin(), live) for each in raised]


def trial(since: int, budget: float = BUDGET) -> list[list[Raised]]:
    """What is raised after each fault that begins at a row, after `WARM` sound ones.

    Rows count from the beginning of the fault, and end with the first page."""
    reference, live = null(0)
    deployment = Deployment(reference, budget)
    watched = deployment.begin()
    for _ in deployment.watch(watched, live.iloc[since - WARM : since]):
        pass
    return [paged(deployment, watched.copy(), injected(fault, since)) for fault in FAULTS]


def paged(deployment: Deployment, watched: Watched, injected: Injected) -> list[Raised]:
    """What is raised over faulty rows, up to the first page."""
    made: list[Raised] = []
    for _, raised in deployment.watch(watched, injected.rows):
        made += raised
        if any(each.tier == "page" for each in raised):
            break
    return made


TIMES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Budgets of trimtab, in multiples of its default."""


def tuned_budget(seed: int, granted: float) -> float:
    """trimtab's largest budget with no more alarms of any tier on a null than granted."""
    pair = null(seed)
    quiet = bisect.bisect(TIMES, granted, key=lambda times: len(over(pair, times * BUDGET)))
    return TIMES[max(quiet - 1, 0)] * BUDGET


def columns_of(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What stands out, by evidence over threshold: a column, or the name of another stream."""
    loud = sorted(verdicts, key=lambda v: v.threshold_log10 - v.evidence_log10)
    return tuple(dict.fromkeys(v.scope.get("column") or stream_of(v.signal) for v in loud))


def stream_of(signal: str) -> str:
    """The signals that read labels are about the stream `error`."""
    return "error" if signal in ("quality", "calibration") else signal.rpartition(":")[2]


def streams_of(rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Fifty streams: error, score, age, and whether a categorical input has a value."""
    made: dict[str, NDArray[Any]] = {
        "error": (rows["y_true"] != rows["y_pred"]).to_numpy(),
        "score": rows["score"].to_numpy(),
        "AGEP": rows["AGEP"].to_numpy() / 100.0,
    }
    for each in columns:
        name, _, value = each.partition("=")
        made[each] = (rows[name] == value).to_numpy()
    return made


@cache
def indicators() -> tuple[str, ...]:
    """The commonest values of the categorical inputs that are neither rare nor nearly always."""
    shares = {
        f"{name}={value}": share
        for name in CENSUS
        if name != "AGEP"
        for value, share in known()[name].value_counts(normalize=True).items()
        if FEWEST <= share <= 1.0 - FEWEST
    }
    return tuple(sorted(shares, key=lambda each: -shares[each]))[: STREAMS - 3]


@dataclass(frozen=True)
class Setting:
    """A detector of river on each of the fifty streams."""

    name: str
    said: str
    options: dict[str, Any]

    def watch(self, tables: Sequence[pd.DataFrame], since: int | None = None) -> list[list[Raised]]:
        """All alarms of each table, in their order."""
        streams = {
            f"{place} {name}": values
            for place, table in enumerate(tables)
            for name, values in streams_of(table, indicators()).items()
        }
        error = {name for name in streams if name.endswith(" error")}
        jobs = [Job(self.name, each, self.options, since, each in error) for each in streams]
        made: list[list[Raised]] = [[] for _ in tables]
        for each, rows in zip(streams, river(jobs, streams), strict=True):
            place, _, name = each.partition(" ")
            made[int(place)] += [Raised(row, "alarm", (name.partition("=")[0],)) for row in rows]
        return [sorted(raised, key=lambda each: each.row) for raised in made]

    def after(self, faults: Sequence[Injected]) -> list[list[Raised]]:
        """Alarms after each fault, rows counted from its beginning."""
        sound = null(0)[1]
        tables = [pd.concat([sound.iloc[f.since - WARM : f.since], f.rows]) for f in faults]
        return [
            [Raised(each.row - WARM, each.tier, each.columns) for each in made if each.row >= WARM]
            for made in self.watch(tables, WARM)
        ]


DELTAS = (0.002, 1e-4, 1e-6, 1e-8)
"""ADWIN's, from its default to the quietest."""


def tuned(seed: int, granted: float) -> Setting:
    """ADWIN at the quickest setting with no more alarms on a null than granted."""
    settings = [Setting("ADWIN", f"tuned: delta {each:g}", {"delta": each}) for each in DELTAS]
    live = null(seed)[1]
    few = (each for each in settings if len(each.watch([live])[0]) <= granted)
    return next(few, settings[-1])


@dataclass(frozen=True)
class Found:
    """What became of one fault: delays of the first alarm, of the first page, and its columns."""

    first: Delays
    page: Delays
    top: float
    three: float


def found(fault: Fault, raised: Sequence[list[Raised]]) -> Found:
    """Delays from the beginning of the fault."""
    first = [delay([each.row for each in alarms], 0) for alarms in raised]
    page = [delay([each.row for each in alarms if each.tier == "page"], 0) for alarms in raised]
    ranks = [rank(alarms, fault.column or "error") for alarms in raised]
    return Found(
        Delays(tuple(first)),
        Delays(tuple(page)),
        float(np.mean([each == 1 for each in ranks])),
        float(np.mean([each is not None and each <= 3 for each in ranks])),
    )


def rank(alarms: Sequence[Raised], column: str) -> int | None:
    """The place of the column among those named in the order of the alarms; None when it is not."""
    order = list(dict.fromkeys(each for raised in alarms for each in raised.columns))
    return order.index(column) + 1 if column in order else None
