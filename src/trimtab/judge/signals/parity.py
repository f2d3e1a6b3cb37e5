"""Training/serving skew: values as they were served against values as training computes them.

Both are of the same answer, so what the world does to a column is in both and cancels. What is left
is a difference in how the value came about: another unit, an older feed, another default.
"""

import math
from collections.abc import Mapping
from functools import reduce
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Labelled, Paired, Rows
from trimtab.domain.signature import Column, Datatype
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.reach import LATELY
from trimtab.judge.signals.counts import merged
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.watch import Watch, Zone

TOLERANCE = 0.01
"""Share of values that may differ without harm: corrections that reach a source after serving."""

RELATIVE = 1e-6
"""Numbers with a fraction that lie closer are the same: storage rounds them. FP32 keeps 6e-8."""

RELATIVE_FP16 = 1e-3
FRACTIONAL = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64})

PORTION = 60.0
"""Seconds: what was told within a minute of the deployment's clock is judged as one block."""

CLUSTERS = 200
"""A block counts as at most so many rows: values differ in bursts, not one by one."""

EXAMPLES = 3
LONGEST_VALUE = 40


class Example(msgspec.Struct, frozen=True, order=True):
    """A value that differs, as it was served and as it was told; `at` is its event time."""

    at: float
    request_id: str
    row: int
    served: str
    told: str

    def __str__(self) -> str:
        row = f" row {self.row}" if self.row else ""
        return f"{self.served} for {self.told} ({self.request_id}{row})"


class Differences(msgspec.Struct, frozen=True):
    """Of one column: pairs of values, those that differ, and the first of these by event time."""

    n: int = 0
    differing: int = 0
    examples: tuple[Example, ...] = ()

    @classmethod
    def of(cls, column: Column, paired: Paired) -> "Differences":
        """Compare a column that was told, of rows `in_order`."""
        served, told = _served(paired.rows, column), paired.told[column.name]
        places = np.flatnonzero(differs(column, served, told))
        first, fixed = places[:EXAMPLES].tolist(), paired.rows.fixed
        examples = tuple(_example(fixed, place, served, told) for place in first)
        return cls(len(paired), places.size, examples)

    def merge(self, other: "Differences") -> "Differences":
        """The counts of both."""
        examples = sorted([*self.examples, *other.examples])[:EXAMPLES]
        return Differences(self.n + other.n, self.differing + other.differing, tuple(examples))


class Pairs(msgspec.Struct, frozen=True):
    """What was told of each column."""

    columns: dict[str, Differences] = {}

    def merge(self, other: "Pairs") -> "Pairs":
        """The counts of both."""
        return Pairs(merged(self.columns, other.columns))


class Stream(msgspec.Struct):
    """One column: its watch, and what was told in each portion that the watch remembers."""

    watch: Watch
    portions: dict[float, Differences] = {}

    def take(self, start: float, seen: Differences) -> None:
        """Judge a portion."""
        rows = min(seen.n, CLUSTERS)
        self.watch.take(start, [rows * seen.differing / seen.n], rows)
        kept = {point.start for point in self.watch.history}
        told = {**self.portions, start: seen}
        self.portions = {at: each for at, each in told.items() if at in kept}

    @property
    def shown(self) -> Differences:
        """All since an alarm began, else the newest portions."""
        since = self.watch.since
        chosen = [at for at in self.portions if since is None or at >= since]
        chosen = chosen if since is not None else chosen[-LATELY:]
        return reduce(Differences.merge, (self.portions[at] for at in chosen))


class State(msgspec.Struct):
    """What changes while values are compared. `judged` is the number of the last portion."""

    streams: dict[str, Stream]
    waiting: dict[str, Differences] = {}
    judged: int | None = None


class Parity:
    """The share of values that were served otherwise than training would have computed them.

    Values are told long after serving, all at once or again and again, so evidence goes by when it
    was told: at most one block a `PORTION`, which is what the threshold is set for.
    """

    name: ClassVar[str] = "parity"

    def __init__(self, target: Target) -> None:
        self._target = target
        self._columns = {c.name: c for c in target.signature.inputs if not c.shape}
        self._limit = target.threshold("parity", PORTION, max(len(self._columns), 1))
        self.state: State = State({name: Stream(self._watch(name)) for name in self._columns})

    def _watch(self, name: str) -> Watch:
        tolerance = self._target.tolerance("parity", TOLERANCE)
        high = self._target.tolerance(f"parity:{name}", tolerance)
        return Watch((Zone(None, high),), None, self._limit)

    @classmethod
    def of(cls, target: Target) -> "Parity":
        """Values can be told of every release."""
        return cls(target)

    def count(self, rows: Rows) -> Mapping[int, Pairs]:
        """Answers alone say nothing here."""
        return {}

    def learn(self, labelled: Labelled) -> Mapping[int, Pairs]:
        """Labels say nothing here."""
        return {}

    def compare(self, paired: Paired) -> Mapping[int, Pairs]:
        """Count values that differ, as the one block 0: their time is not what blocks go by."""
        if not len(paired):
            return {}
        told = [self._columns[name] for name in sorted(paired.told) if name in self._columns]
        fitting = [column for column in told if _fits(column, paired.told[column.name])]
        ordered = in_order(paired)
        return {0: Pairs({column.name: Differences.of(column, ordered) for column in fitting})}

    def take(self, counted: Mapping[int, Pairs]) -> None:
        """Keep what was told until the next portion is due."""
        for pairs in counted.values():
            waiting = merged(self.state.waiting, pairs.columns)
            # Sorted, so that what is saved does not tell who came first.
            self.state.waiting = dict(sorted(waiting.items()))

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge what was told, once in a portion; a broken feed excuses no difference."""
        state, portion = self.state, math.floor(clock / PORTION)
        if not state.waiting or (state.judged is not None and portion <= state.judged):
            return
        for name, seen in state.waiting.items():
            state.streams[name].take(portion * PORTION, seen)
        state.waiting, state.judged = {}, portion

    def verdicts(self) -> tuple[Verdict, ...]:
        """`parity:COLUMN` for each column; `parity` alone before any value was told."""
        if self.state.judged is None:
            reason = "no values of training were told to compare with; see trimtab parity"
            return (describe.unknown("parity", self._target.release, self._limit, reason),)
        return tuple(self._verdict(name, stream) for name, stream in self.state.streams.items())

    def _verdict(self, name: str, stream: Stream) -> Verdict:
        note = "no value of this column was told"
        bare = describe.verdict(
            f"parity:{name}", stream.watch, self._target.release, describe.Subject("", 0.0, note)
        )
        return bare if bare.verdict == "unknown" else self._told(name, stream, bare)

    def _told(self, name: str, stream: Stream, bare: Verdict) -> Verdict:
        """With the values themselves, in event time. Of what was told the share is no estimate."""
        seen, since = stream.shown, bare.since
        if since is not None and seen.examples:
            since = seen.examples[0].at
        share, high = seen.differing / seen.n, stream.watch.zones[0].high or 0.0
        when = "lately" if since is None else f"since {describe.day(since)}"
        served = f"; served {', '.join(map(str, seen.examples))}" if seen.examples else ""
        reason = (
            f"{name} was served otherwise than training has it in {share:.1%} of {seen.n} answers "
            f"{when}, harmless up to {high:.1%}{served}"
        )
        return msgspec.structs.replace(
            bare, reason=reason, since=since, estimate=share, lower=None, upper=None, n=seen.n
        )


def in_order(paired: Paired) -> Paired:
    """The pairs by event time, those of the same time by their names."""
    fixed = paired.rows.fixed
    columns = (fixed[name].tolist() for name in ("event_time", "request_id", "row"))
    names = list(zip(*columns, strict=True))
    return paired.take(np.array(sorted(range(len(names)), key=names.__getitem__)))


def differs(column: Column, served: NDArray[Any], told: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values differ: texts and whole numbers exactly, others by more than rounding. Two
    missing values are the same, a missing and a known one are not."""
    if not column.datatype.numeric:
        pairs = zip(served.tolist(), told.tolist(), strict=True)
        return np.array([one != other for one, other in pairs], dtype=np.bool_)
    apart = served != told
    if column.datatype in FRACTIONAL:
        relative = RELATIVE_FP16 if column.datatype is Datatype.FP16 else RELATIVE
        known = np.isfinite(served) & np.isfinite(told)
        one, other = np.where(known, served, 0.0), np.where(known, told, 0.0)
        close = np.abs(one - other) <= relative * np.maximum(np.abs(one), np.abs(other))
        apart &= ~(known & close)
    return np.asarray(apart & ~(np.isnan(served) & np.isnan(told)), dtype=np.bool_)


def _fits(column: Column, values: NDArray[Any]) -> bool:
    """Whether values are of the column's type: those told of another release may not be."""
    return (values.dtype.kind == "f") == column.datatype.numeric


def _served(rows: Rows, column: Column) -> NDArray[Any]:
    """The values of an input; all are missing where a torn segment lost the column or its type."""
    values = rows.inputs.get(column.name)
    if values is None or not _fits(column, values):
        return np.full(len(rows), np.nan if column.datatype.numeric else None)
    return values


def _example(
    fixed: Mapping[str, NDArray[Any]], place: int, served: NDArray[Any], told: NDArray[Any]
) -> Example:
    return Example(
        float(fixed["event_time"][place]),
        str(fixed["request_id"][place]),
        int(fixed["row"][place]),
        _shown(served[place]),
        _shown(told[place]),
    )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)[:LONGEST_VALUE]
    return "nothing" if value is None or math.isnan(value) else f"{float(value):.12g}"
