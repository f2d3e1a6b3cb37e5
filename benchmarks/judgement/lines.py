"""Every detector over the nulls, the order of time and the faults of a case: a line for each."""

import bisect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial
from multiprocessing import get_context

import numpy as np
import pandas as pd

from judgement.alarms import Delays, Rate, delay
from judgement.case import Case, Injected
from judgement.cases import CASES
from judgement.chunks import Alerts, Asked, said
from judgement.errors import cusum, lost, oracle_limit
from judgement.fifty import Fifty, Streams, tuned
from judgement.streams import Stream
from judgement.watching import BUDGET, Raised

PROCESSES = int(os.environ.get("PROCESSES", os.cpu_count() or 1))
DAY = 24
"""Hours whose rows are a chunk of the products that compare tables."""

MOST_CHUNKS, LEAST_ROWS = 150, 1_000


Named = Callable[[Alerts], tuple[str, ...]]
"""What a product names when it alarms, by what is taken for an alarm; nothing when it does not."""


@dataclass(frozen=True)
class Found:
    """What became of one fault: delays, and how often its column was named first, or in three."""

    delays: Delays
    top: float
    three: float


@dataclass(frozen=True)
class Line:
    """A detector. `natural` are its alarms in the order of time, and how many were about harm;
    `precision` is the share of those, and of alarms after faults, that were."""

    name: str
    setting: str
    null: Rate | None
    natural: tuple[int, int] | None = None
    faults: tuple[Found | None, ...] = ()
    precision: float | None = None


@dataclass(frozen=True)
class Alarms:
    """All alarms of a detector over each null, in the order of time, and after each fault."""

    nulls: list[list[Raised]]
    natural: list[Raised]
    faults: list[list[list[Raised]]]
    share: float = 1.0
    """The part of each null that was watched."""

    def only(self, tier: str) -> "Alarms":
        """Those of a tier."""

        def kept(every: list[Raised]) -> list[Raised]:
            return [each for each in every if each.tier == tier]

        faults = [[kept(run) for run in runs] for runs in self.faults]
        return Alarms([kept(each) for each in self.nulls], kept(self.natural), faults, self.share)


ORDERLESS = ("Adult",)
"""Cases whose live rows have no order of time."""


@cache
def streams_of(name: str, hours: int) -> list[Stream]:
    """Two nulls of different reference rows; then the order of time, where there is one."""
    case = CASES[name]()
    nulls = [case.null(seed, hours * case.block) for seed in (2, 3)]
    return nulls if name in ORDERLESS else [*nulls, case.stream]


TIMES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Budgets of trimtab, in multiples of its default."""


def loud(name: str, hours: int, granted: int) -> float:
    """trimtab's largest budget with no more alarms of any tier on a null than granted, in multiples
    of its default."""
    case = CASES[name]()
    null = case.null(1, hours * case.block)
    quiet = bisect.bisect(TIMES, granted, key=lambda times: len(case.over(null, times * BUDGET)))
    return TIMES[max(quiet - 1, 0)]


def quiet(name: str, hours: int, budget: float, place: int) -> list[Raised]:
    """What trimtab raises over one of the streams of a case."""
    return CASES[name]().over(streams_of(name, hours)[place], budget)


def faulty(name: str, budget: float, since: int) -> list[list[Raised]]:
    """What trimtab raises after faults that begin at a row."""
    return CASES[name]().trial(since, budget)


@dataclass(frozen=True)
class Trial:
    """A case by its name, with nulls of so many hours, and each fault at so many random times."""

    name: str
    hours: int
    times: int

    @property
    def case(self) -> Case:
        """What is watched."""
        return CASES[self.name]()

    @property
    def timed(self) -> bool:
        """Whether the order of its live rows is that of time."""
        return self.name not in ORDERLESS

    @property
    def nulls(self) -> list[Stream]:
        """Streams in which nothing changes."""
        return streams_of(self.name, self.hours)[:2]

    @cached_property
    def begins(self) -> list[int]:
        """Where faults begin."""
        return self.case.times(self.times, 1)

    @cached_property
    def runs(self) -> list[list[Injected]]:
        """By fault, a run for each beginning."""
        return [[self.case.injected(f, since) for since in self.begins] for f in self.case.faults]

    @property
    def fewer(self) -> int:
        """Of the times, those after which tables are compared, which takes long."""
        return min(self.times, 5)

    @property
    def years(self) -> float:
        """Of all nulls."""
        return sum(len(each.live) for each in self.nulls) / self.case.yearly

    def lines(self) -> Iterator[Line]:
        """All detectors."""
        fifty = Fifty(self.case, "ADWIN", "defaults", {})
        null = self.case.null(1, self.hours * self.case.block)
        times = loud(self.name, self.hours, len(fifty.watch([null])[0]))
        ours = self.ours(BUDGET)
        yield self.line("trimtab", "pages", ours.only("page"))
        yield self.line("trimtab", "pages, tickets, notes", ours)
        said = f"all, {times:g} × the budget: no louder than ADWIN"
        yield self.line("trimtab", said, ours if times == 1.0 else self.ours(times * BUDGET))
        calm = tuned(self.case, null, BUDGET)
        streams = len(Streams(null))
        for each in (fifty, calm, Fifty(self.case, "PageHinkley", "defaults", {})):
            yield self.line(f"{streams} × {each.name}", each.said, self.fifty(each))
        yield from self.tables()
        yield self.oracle()
        yield from self.dummies()

    def ours(self, budget: float) -> Alarms:
        """trimtab."""
        # What processes share is made before they are forked.
        streams, _ = streams_of(self.name, self.hours), self.runs
        over = partial(quiet, self.name, self.hours, budget)
        with ProcessPoolExecutor(PROCESSES, get_context("fork")) as pool:
            after = pool.map(partial(faulty, self.name, budget), self.begins)
            found, trials = list(pool.map(over, range(len(streams)))), list(after)
        faults = [[each[place] for each in trials] for place in range(len(self.case.faults))]
        return Alarms(found[:2], found[2] if self.timed else [], faults)

    def fifty(self, detector: Fifty) -> Alarms:
        """A detector on each stream."""
        found = detector.watch(streams_of(self.name, self.hours))
        every = iter(detector.after([run for runs in self.runs for run in runs]))
        faults = [[next(every) for _ in runs] for runs in self.runs]
        return Alarms(found[:2], found[2] if self.timed else [], faults)

    def tables(self) -> Iterator[Line]:
        """Products that compare a chunk with the reference."""
        for product, name, settings in (
            ("evidently", "Evidently", {"any column": moved, "data set or accuracy": failed}),
            ("nannyml", "NannyML", {"any column": moved, "accuracy": failed}),
            ("frouros", "Frouros", {"any column, p < .05": moved}),
        ):
            yield from self.product(product, name, settings)

    def product(self, product: str, name: str, settings: Mapping[str, Named]) -> Iterator[Line]:
        """One of them, by what is taken for an alarm."""
        size = DAY * self.case.block
        kept = min(MOST_CHUNKS * size // 2, len(self.nulls[0].live))
        # Rows of all runs lie one after another in whole chunks.
        each = self.case.patience // size
        rows = [run.rows.iloc[: each * size] for runs in self.runs for run in runs[: self.fewer]]
        faulty = Asked(self.case.sound, pd.concat(rows, ignore_index=True), size)
        nulls = [Asked(null, null.live.iloc[:kept], size) for null in self.nulls]
        after, *quiet = said(product, [faulty, *nulls, *self.natural(size)])
        for setting, named in settings.items():
            runs = [
                raised(after[n : n + each], named, n * size) for n in range(0, len(after), each)
            ]
            parts = [runs[n : n + self.fewer] for n in range(0, len(runs), self.fewer)]
            found = [raised(alerts, named) for alerts in quiet]
            share = kept / len(self.nulls[0].live)
            alarms = Alarms(found[:2], found[2] if self.timed else [], parts, share)
            yield self.line(name, setting, alarms)

    def natural(self, size: int) -> list[Asked]:
        """The order of time, if there is one, in at most 150 chunks."""
        stream = self.case.stream
        most = max(size, len(stream.live) // MOST_CHUNKS)
        return [Asked(stream, stream.live, most)] if self.timed else []

    def line(self, name: str, setting: str, alarms: Alarms) -> Line:
        """The alarms against what is true."""
        null = Rate(sum(map(len, alarms.nulls)), self.years * alarms.share)
        harmful = sum(self.harms(each.row) for each in alarms.natural)
        raised, right = len(alarms.natural), harmful
        found = []
        for fault, injected, runs in zip(self.case.faults, self.runs, alarms.faults, strict=True):
            seen = sum(map(bool, runs))
            raised += seen
            harm = float(np.mean([run.harm for run in injected]))
            right += seen if harm > self.tolerance else 0
            found.append(became(fault.column or "error", runs))
        natural = (len(alarms.natural), harmful) if self.timed else None
        precision = right / raised if raised else None
        return Line(name, setting, null, natural, tuple(found), precision)

    @cached_property
    def value(self) -> float:
        """The error of the reference."""
        rows = self.case.stream.reference
        return float((rows["y_true"] != rows["y_pred"]).mean())

    @property
    def tolerance(self) -> float:
        """How much more error is no harm: trimtab's tolerance of quality for the error."""
        return max(0.01, 0.05 * self.value)

    def harms(self, row: int) -> bool:
        """Whether the error of the rows up to an alarm is above the reference and the tolerance."""
        live = self.case.stream.live
        size = max(min(self.case.patience, len(live) // 10), LEAST_ROWS)
        part = live.iloc[max(row + 1 - size, 0) : row + 1]
        return float((part["y_true"] != part["y_pred"]).mean()) > self.value + self.tolerance

    def oracle(self) -> Line:
        """Page's test of the error, which knows it before and after each fault; at as many alarms
        on the nulls as trimtab may raise pages."""
        null = np.concatenate([lost(each.live) for each in self.nulls])
        before, most = float(null.mean()), BUDGET * self.years
        found: list[Found | None] = []
        for runs in self.runs:
            harm = float(np.mean([run.harm for run in runs]))
            if harm <= self.tolerance:
                found.append(None)
                continue
            limit = oracle_limit(null, before, before + harm, most)
            alarms = [cusum(lost(run.rows), before, before + harm, limit) for run in runs]
            found.append(Found(Delays(tuple(delay(each, 0) for each in alarms)), np.nan, np.nan))
        return Line("oracle CUSUM", "knows the error after", None, None, tuple(found))

    def dummies(self) -> Iterator[Line]:
        """What needs no statistics."""
        yield self.line("never", "", self.by_rule(lambda rows: []))
        step = round(self.case.yearly / BUDGET)
        yield self.line(
            "every N rows",
            "12 a year",
            self.by_rule(lambda rows: list(range(step - 1, len(rows), step))),
        )
        yield self.line("error of a day", "2 points up", self.by_rule(partial(daily, self)))

    def by_rule(self, rule: Callable[[pd.DataFrame], list[int]]) -> Alarms:
        """Alarms of a rule about errors, which has no past."""

        def told(rows: pd.DataFrame) -> list[Raised]:
            return [Raised(row, "alarm", ("error",)) for row in rule(rows)]

        natural = told(self.case.stream.live) if self.timed else []
        faults = [[told(run.rows) for run in runs] for runs in self.runs]
        return Alarms([told(each.live) for each in self.nulls], natural, faults)


def moved(alerts: Alerts) -> tuple[str, ...]:
    """The columns that drifted."""
    return alerts.columns


def failed(alerts: Alerts) -> tuple[str, ...]:
    """What is named when accuracy failed, or the data set drifted as a whole."""
    return (*(("error",) * alerts.accuracy), *(alerts.columns * alerts.whole))


def daily(trial: Trial, rows: pd.DataFrame) -> list[int]:
    """Last rows of the days on which the error was 2 points above that of the reference."""
    size = DAY * trial.case.block
    errors = lost(rows)
    days = errors[: errors.size // size * size].reshape(-1, size).mean(axis=1)
    return [(day + 1) * size - 1 for day in np.flatnonzero(days > trial.value + 0.02).tolist()]


def raised(alerts: Sequence[Alerts], named: Named, first: int = 0) -> list[Raised]:
    """The chunks that count as alarms: those of which something is named. Rows count from row
    `first`."""
    both = ((each.end - first, named(each)) for each in alerts)
    return [Raised(row, "alarm", columns) for row, columns in both if columns]


def became(column: str, runs: Sequence[list[Raised]]) -> Found:
    """Delays from the beginning of a fault, and the rank of its column."""
    first = tuple(delay([each.row for each in alarms], 0) for alarms in runs)
    ranks = [rank(alarms, column) for alarms in runs]
    return Found(
        Delays(first),
        float(np.mean([each == 1 for each in ranks])),
        float(np.mean([each is not None and each <= 3 for each in ranks])),
    )


def rank(alarms: Sequence[Raised], column: str) -> int | None:
    """The place of the column among those named in the order of the alarms; None when it is not."""
    order = list(dict.fromkeys(each for raised in alarms for each in raised.columns))
    return order.index(column) + 1 if column in order else None
