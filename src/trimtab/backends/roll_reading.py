"""What Parquet files of the request log hold, segment by segment."""

import contextlib
import errno
import logging
import math
import os
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab import errors
from trimtab.backends.rolls import Roll
from trimtab.domain import layout

HELD = b"trimtab.segments"
"""Key in a file's metadata: JSON list of [sequence, rows, time in ns], in the order of the rows."""
OPENED = 8
"""Files whose last row group is kept decoded: writers take turns, their segments do not."""
_NONSENSE = (pa.ArrowInvalid, pa.ArrowIndexError, pa.ArrowNotImplementedError)
"""What Arrow raises for bytes that it cannot make sense of, besides `OSError` without a number."""
log = logging.getLogger(__name__)


class Held(msgspec.Struct, frozen=True, array_like=True):
    """One segment inside a Parquet file. `time` is when it became visible, in ns."""

    sequence: int
    rows: int
    time: int


_decode = msgspec.json.Decoder(list[Held]).decode


def unreadable(path: Path) -> errors.Permanent:
    """The error for a segment that is no segment."""
    return errors.Permanent(
        errors.LOG_FAILED,
        "read",
        path.name,
        "the segment is torn or is not an Arrow file",
        unchanged="all other segments can be read",
    )


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell bytes that are no Arrow or Parquet file from a disk that does not give them.

    Raises `Permanent` TT-802 for the former, `OSError` with its number for the latter."""
    try:
        yield
    except (*_NONSENSE, msgspec.DecodeError) as cause:
        raise unreadable(path) from cause
    except OSError as cause:
        if cause.errno is not None:
            raise
        if os.strerror(errno.ENOMEM) in str(cause):  # of a mapping Arrow tells no number
            raise OSError(errno.ENOMEM, str(cause), str(path)) from cause
        raise unreadable(path) from cause


@contextlib.contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A file whose pages are held against their checksums, if it has any. Raises as `reading`."""
    with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield file


def held_in(file: pq.ParquetFile) -> list[Held]:
    """The segments inside an open file, in order; none in one that trimtab did not write."""
    return _decode((file.metadata.metadata or {}).get(HELD, b"[]"))


def held_by(roll: Roll) -> list[Held]:
    """The segments inside a file, in order. Raises as `reading`."""
    with opened(roll.path) as file:
        return held_in(file)


def schema_of(roll: Roll) -> pa.Schema:
    """The columns of a file. Raises as `reading`."""
    with reading(roll.path):
        return pq.read_schema(roll.path).remove_metadata()


def read_whole(roll: Roll) -> None:
    """Decode all of a file, to learn whether it is whole. Raises as `reading`."""
    with opened(roll.path) as file:
        for number in range(file.num_row_groups):
            file.read_row_group(number)


def set_aside(path: Path, problem: errors.Permanent) -> None:
    """Rename what cannot be read, so that nobody stumbles over it again."""
    aside = path.with_suffix(layout.UNREADABLE)
    log.warning("%s is set aside as %s, its rows are lost: %s", path, aside.name, problem.__cause__)
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows whose `column` is from `since` to `until`."""

    column: str
    since: float
    until: float = math.inf

    def filled(self, table: pa.Table) -> Iterator[pa.Table]:
        """The rows of a table that are inside, if there are any."""
        values = table.column(self.column).to_numpy()
        inside = (values >= self.since) & (values <= self.until)
        if inside.all() and len(table):
            yield table
        elif inside.any():
            yield table.filter(pa.array(inside))

    def misses(self, group: pq.RowGroupMetaData, place: int) -> bool:
        """Whether a group of rows, whose column is at `place`, is known to have none inside."""
        known: Any = group.column(place).statistics
        if known is None or not known.has_min_max:
            return False
        return bool(known.max < self.since or known.min > self.until)


def newest_groups(roll: Roll, span: Span) -> Iterator[pa.Table]:
    """The rows of a file inside a span, group by group from its end. Raises as `reading`."""
    with opened(roll.path) as file:
        place = file.schema_arrow.names.index(span.column)
        for number in reversed(range(file.num_row_groups)):
            if not span.misses(file.metadata.row_group(number), place):
                yield from span.filled(file.read_row_group(number))


@dataclass(slots=True)
class _Opened:
    file: pq.ParquetFile
    places: Mapping[int, tuple[int, int]]
    """First row and number of rows, by sequence."""
    starts: list[int]
    """First row of each row group."""
    groups: dict[int, pa.Table] = field(default_factory=dict)
    """The row groups that were read last."""
    whole: pa.Table | None = None
    """These as one."""

    @classmethod
    def open(cls, path: Path) -> "_Opened":
        file = pq.ParquetFile(path, page_checksum_verification=True)
        held = held_in(file)
        ends = accumulate(each.rows for each in held)
        places = {
            each.sequence: (end - each.rows, each.rows)
            for each, end in zip(held, ends, strict=True)
        }
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        return cls(file, places, list(accumulate(sizes[:-1], initial=0)) if sizes else [])

    def around(self, start: int, number: int) -> tuple[pa.Table, int]:
        """The row groups that hold these rows, as a table that stays the same object for as long as
        they are, and the first of the rows in it."""
        first = max(bisect_right(self.starts, start) - 1, 0)
        wanted = range(first, max(bisect_left(self.starts, start + number), first + 1))
        if not self.starts:
            return self.file.schema_arrow.empty_table(), 0
        if self.whole is None or [*wanted] != [*self.groups]:
            self.groups = {each: self._group(each) for each in wanted}
            self.whole = pa.concat_tables(self.groups.values())
        return self.whole, start - self.starts[first]

    def _group(self, number: int) -> pa.Table:
        known = self.groups.get(number)
        return self.file.read_row_group(number) if known is None else known


class RollReader:
    """Reads segments out of Parquet files, each row group once for all its segments.

    Threads may share one."""

    def __init__(self) -> None:
        self._opened: OrderedDict[Path, _Opened] = OrderedDict()
        self._alone = threading.Lock()

    def read(self, roll: Roll, sequence: int) -> pa.Table:
        """One segment. Raises as `around`."""
        table, start, size = self.around(roll, sequence)
        return table.slice(start, size)

    def around(self, roll: Roll, sequence: int) -> tuple[pa.Table, int, int]:
        """Rows of a file with those of one segment among them, its first row there and how many it
        has. The table is the same object for neighbours.

        Raises `Permanent` TT-802 when it is torn or not in there, and FileNotFoundError when the
        file is gone."""
        with self._alone, reading(roll.path):
            opened = self._opened.pop(roll.path, None) or _Opened.open(roll.path)
            place = opened.places.get(sequence)
            if place is None:
                raise unreadable(roll.path)
            self._opened[roll.path] = opened
            if len(self._opened) > OPENED:
                self._opened.popitem(last=False)
            return *opened.around(*place), place[1]

    def rest(self) -> None:
        """Forget what is decoded: nobody reads what was rolled."""
        with self._alone:
            self._opened.clear()
