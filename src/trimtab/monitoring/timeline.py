"""Which block each row of a table belongs to, and when a block holds all its rows.

Without a time column the order of the rows is their time: a block is a number of rows, and stands
for a day in the alarm budget.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.build.memory import Array, arrow_of
from trimtab.build.reference import epoch_seconds
from trimtab.domain.records import Floats, Ints
from trimtab.judge.profile import DAY
from trimtab.monitoring.arrays import Coded, Lexicon, array_of
from trimtab.monitoring.columns import Kind, unusable
from trimtab.monitoring.sources import BATCH_ROWS, Chunk, Source
from trimtab.stats.edges import Numbers

LEAST_EPOCH, MOST_EPOCH = 1e8, 1e11
"""Numbers outside are no seconds since 1970 (1973 to 5138): years, or milliseconds."""

FIRST_DATE, LAST_DATE = -62_135_596_800.0, 253_402_300_799.0
"""Years 1 to 9999: beyond them no calendar goes. Milliseconds that are taken for seconds are."""

UNITS = (DAY, 3600.0, 300.0)
FEWEST_BLOCKS = 10
LEAST_ROWS, USUAL_BLOCKS = 500, 100


NONE_LATER: Ints = np.empty(0, dtype=np.int64)
"""Of a table in the order of its blocks no stretch is before an earlier one."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one block that lie together, as the arrays that are counted.

    Blocks below `complete` hold all their rows already. `read` are the lengths of what was read at
    once, none for all.
    """

    number: int
    complete: int
    times: Floats
    columns: Mapping[str, Numbers | Coded]
    read: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.times.size

    def sample(self, least: int) -> "Part":
        """Rows at even distances, at least so many of what was read at once where it had more."""
        spans = pairwise(accumulate(self.read or (len(self),), initial=0))
        rows = [slice(start, end, max((end - start) // least, 1)) for start, end in spans]
        times = np.concatenate([self.times[each] for each in rows])
        return Part(self.number, self.complete, times, _Sampled(self.columns, rows))


@dataclass(frozen=True, slots=True)
class _Sampled(Mapping[str, Numbers | Coded]):
    """Some of the rows of columns, taken when somebody asks for one: most columns are not asked for
    again."""

    whole: Mapping[str, Numbers | Coded]
    rows: Sequence[slice]

    def __getitem__(self, name: str) -> Numbers | Coded:
        held = self.whole[name]
        values = held.places if isinstance(held, Coded) else held
        some = np.concatenate([values[each] for each in self.rows])
        return Coded(held.texts, some) if isinstance(held, Coded) else some

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Blocks of a table. `later` is, for each stretch of `BATCH_ROWS` rows, the least block number
    of that stretch and all after it; it is empty when block numbers never fall.

    `rows` is the length of a block when there is no time column, `undated` counts rows whose time
    is missing: they are left out.
    """

    seconds: float
    since: float
    until: float
    column: str | None = None
    rows: int = 0
    undated: int = 0
    later: Ints = field(default_factory=lambda: NONE_LATER)

    @property
    def ordered(self) -> bool:
        """Whether rows come in the order of their blocks."""
        return self.later.size == 0

    @property
    def first(self) -> int:
        """The number of the first block."""
        return math.floor(self.since / self.seconds)

    @property
    def blocks(self) -> int:
        """How many there are from the first to the last, whether they hold rows or not."""
        return math.floor(self.until / self.seconds) - self.first + 1

    def label(self, at: float) -> str:
        """A moment without a time column, as a person counts rows; `at` is in pseudo seconds."""
        return f"row {round(at / self.seconds) * self.rows:,}"

    def times(self, batch: pa.RecordBatch, offset: int) -> Floats:
        """The event time of each row, NaN where it is missing."""
        if self.column is not None:
            return read_times(batch.column(self.column), "live", self.column)
        return (offset + np.arange(len(batch))) / self.rows * self.seconds

    def complete(self, number: int, offset: int) -> int:
        """Blocks below this hold all their rows when the next row, `offset`, is of `number`."""
        if self.ordered:
            return number
        stretch = min(offset // BATCH_ROWS, self.later.size - 1)
        return min(number, int(self.later[stretch]))


def by_rows(rows: int, block: int | None) -> Timeline:
    """Blocks of `block` rows, or about a hundred blocks of at least 500 rows."""
    length = block or max(LEAST_ROWS, -(-rows // USUAL_BLOCKS))
    return Timeline(DAY, 0.0, rows / length * DAY, rows=length)


@dataclass(frozen=True, slots=True)
class Dates:
    """The times of a table: the least and the largest, how many rows have none, and whether each
    row has one that is not before that of the row above."""

    since: float
    until: float
    undated: int
    rising: bool


def read_dates(source: Source, column: str) -> Dates:
    """Read the time column once. Raises `Usage` TT-910 when it holds no times."""
    since, until, undated, rising = math.inf, -math.inf, 0, True
    for times in _times(source, column):
        undated += int(np.isnan(times).sum())
        # A time that is missing loses every comparison.
        rising = rising and until <= float(times[0]) and bool((times[1:] >= times[:-1]).all())
        since = min(since, float(np.fmin.reduce(times)))
        until = max(until, float(np.fmax.reduce(times)))
    if since > until:
        raise unusable("live", f"every value of {column!r} is missing")
    return Dates(since, until, undated, rising)


def by_time(source: Source, column: str, seconds: float | None, dates: Dates) -> Timeline:
    """Blocks of so many seconds by the times of a column, of which `dates` are known.

    Without `seconds` a block is a day, or an hour or five minutes where that makes fewer than ten.
    """
    whole = dates.until - dates.since
    length = seconds or next((u for u in UNITS if whole >= FEWEST_BLOCKS * u), UNITS[-1])
    # Times that never fall need no second look: neither do the numbers of their blocks.
    later = NONE_LATER if dates.rising else _later(_times(source, column), length)
    return Timeline(length, dates.since, dates.until, column, undated=dates.undated, later=later)


def _times(source: Source, column: str) -> Iterator[Floats]:
    """Times of `BATCH_ROWS` rows each, however the table is cut; the last are fewer."""
    kept = np.empty(0)
    for batch in source.batches([column]):
        kept = np.concatenate([kept, read_times(batch.column(column), "live", column)])
        while kept.size >= BATCH_ROWS:
            yield kept[:BATCH_ROWS]
            kept = kept[BATCH_ROWS:]
    if kept.size:
        yield kept


def _later(stretches: Iterable[Floats], seconds: float) -> Ints:
    ordered, last = True, -math.inf
    least: list[float] = []
    for times in stretches:
        numbers = np.floor(times[~np.isnan(times)] / seconds)
        least.append(float(numbers.min(initial=math.inf)))
        ordered = ordered and bool((np.diff(numbers, prepend=last) >= 0.0).all())
        last = float(numbers[-1]) if numbers.size else last
    if ordered:
        return NONE_LATER
    suffix = np.minimum.accumulate(np.array(least)[::-1])[::-1]
    return np.asarray(np.minimum(suffix, last), dtype=np.int64)


def read_times(column: Array, what: str, name: str) -> Floats:
    """Epoch seconds, NaN where missing. Raises `Usage` TT-910 when they cannot be times."""
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    try:
        times = np.asarray(epoch_seconds(chunked), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as cause:
        first = next((value for value in chunked.to_pylist() if value is not None), None)
        raise unusable(
            what,
            f"column {name!r} cannot be read as time; its first value is {first!r}",
            "use timestamps, or texts as 2026-01-31T10:30:00 (ISO 8601)",
        ) from cause
    known = times[~np.isnan(times)]
    numeric = pa.types.is_integer(chunked.type) or pa.types.is_floating(chunked.type)
    if numeric and known.size and (known.min() < LEAST_EPOCH or known.max() > MOST_EPOCH):
        raise unusable(
            what,
            f"column {name!r} holds {known.min():g} to {known.max():g}: no seconds since 1970",
            "use timestamps, or seconds since 1970",
        )
    if known.size and not FIRST_DATE <= known.min() <= known.max() <= LAST_DATE:
        raise unusable(
            what,
            f"column {name!r} holds times that are not within the years 1 to 9999",
            "are its numbers milliseconds, and taken for seconds?",
        )
    return times


def parts(source: Source, timeline: Timeline, kinds: Mapping[str, Kind]) -> Iterator[Part]:
    """The table in its order, cut where the block changes; rows without a time are left out.

    A piece of a table that is not in the order of its blocks is sorted by them first.
    """
    offset = 0
    names = [*kinds] if timeline.column is None else [*kinds, timeline.column]
    cutter = _Cutter(timeline, kinds, {name: Lexicon() for name in kinds})
    # Of what is not in order less is taken at once, so that blocks close as early as they can.
    most = source.together if timeline.ordered else 1
    for chunk in source.chunks(list(dict.fromkeys(names)), most):
        made = cutter.parts(chunk, offset)
        offset += len(chunk.batch)
        # What was read is not held while its parts are counted, and the next rows are read.
        del chunk
        yield from made


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Makes parts of batches; it remembers the texts of each column."""

    timeline: Timeline
    kinds: Mapping[str, Kind]
    lexicons: Mapping[str, Lexicon]

    def parts(self, chunk: Chunk, offset: int) -> list[Part]:
        """The parts of rows of which the first is number `offset` of the table."""
        timeline, batch = self.timeline, chunk.batch
        times = timeline.times(batch, offset)
        known = ~np.isnan(times)
        read = np.cumsum(chunk.read)
        if not known.all():
            batch, times, read = batch.filter(arrow_of(known)), times[known], _kept(known, read)
        numbers = np.asarray(np.floor(times / timeline.seconds), dtype=np.int64)
        if not timeline.ordered:
            order = np.argsort(numbers, kind="stable")
            batch, times, numbers = batch.take(arrow_of(order)), times[order], numbers[order]
        columns = {name: self._column(batch, name) for name in self.kinds}
        borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), numbers.size]
        made = []
        for start, end in pairwise(borders):
            if end > start:
                rows, number = slice(start, end), int(numbers[start])
                within = read[(read > start) & (read < end)].tolist()
                lengths = tuple(b - a for a, b in pairwise([start, *within, end]))
                complete = timeline.complete(number, offset)
                made.append(Part(number, complete, times[rows], _cut(columns, rows), lengths))
        return made

    def _column(self, batch: pa.RecordBatch, name: str) -> Numbers | Coded:
        found = array_of(batch.column(name), self.kinds[name])
        return self.lexicons[name].placed(found) if isinstance(found, Coded) else found


def _kept(known: NDArray[np.bool_], ends: Ints) -> Ints:
    """Where stretches end among the rows that are kept."""
    return np.unique(np.cumsum(known)[ends - 1])


def _cut(columns: Mapping[str, Numbers | Coded], rows: slice | Ints) -> dict[str, Numbers | Coded]:
    return {
        name: column.take(rows) if isinstance(column, Coded) else column[rows]
        for name, column in columns.items()
    }
