"""How segments of the request log become Parquet, and small Parquet files larger ones.

A file is whole and on the disk before its name appears, and its name is on the disk before anything
that it replaces is deleted. What it replaces is hidden meanwhile, so it may be deleted at any time.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab import errors
from trimtab.backends.durable import make_folder, sync_folder
from trimtab.backends.requestlog_files import Piece, read_arrow, visible
from trimtab.backends.roll_reading import HELD, Held, held_in, opened, set_aside
from trimtab.backends.rolls import Roll, Rolls

ROW_GROUP = 16_384
"""Rows of a row group: what a reader of one segment decodes."""
RANGED = ("event_time", "received_at", "at")
"""Columns whose least and largest value each row group tells."""
DIFFERENT = ("request_id", "trace_id", "key")
"""Texts that repeat seldom."""
MERGED_BYTES = 32 * 1024 * 1024
"""Size up to which files of an hour become one."""
MOST_MERGED = 24
"""Files that one call makes of small ones in a folder: an old log does not hold up the rest."""
_HOUR = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Steps:
    """What rolling does to the disk, one by one, so that a test can stop it anywhere."""

    rename: Callable[[Path, Path], None] = os.replace
    delete: Callable[[Path], None] = os.unlink


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be rolled: segments that became visible until `settled`, in ns, and at most
    `most_rows` into one file. `rest` is called between two groups of rows."""

    settled: float
    most_rows: int
    steps: Steps
    rest: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Part:
    """What goes into a file: a segment, or a smaller file."""

    path: Path
    schema: pa.Schema
    held: Sequence[Held]
    size: int

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.held)


def roll(folder: Path, rolls: Rolls, terms: Terms) -> int:
    """Make Parquet of the settled segments of a folder; returns how many that were.

    Raises `OSError` with the rest left for the next call."""
    listing = rolls.below(folder)
    for path in listing.unfinished:
        terms.steps.delete(path)
    fresh, _, leftover = visible(folder, rolls)
    for piece in leftover:
        terms.steps.delete(piece.path)
    settled = [piece for piece in fresh if piece.time <= terms.settled]
    return sum(
        _roll_day(folder / f"date={date}", writer, list(pieces), terms)
        for (writer, date), pieces in groupby(settled, lambda piece: (piece.writer, piece.date))
    )


def _roll_day(folder: Path, writer: str, pieces: Sequence[Piece], terms: Terms) -> int:
    make_folder(folder)
    rolled = 0
    for run in _runs(map(_piece_part, pieces), terms.most_rows):
        tables = (read_arrow(part.path) for part in run.parts)
        _replace(folder, writer, run, tables, terms)
        rolled += len(run.parts)
    return rolled


def _piece_part(piece: Piece) -> _Part | None:
    try:
        table = read_arrow(piece.path)
    except errors.Permanent as problem:
        set_aside(piece.path, problem)
        return None
    held = Held(piece.sequence, len(table), piece.time)
    return _Part(piece.path, table.schema.remove_metadata(), (held,), 0)


class Merger:
    """Joins the Parquet files of an hour that is over, and remembers where nothing is to be joined.

    A file's time is that of its newest segment, also of what it is merged into. Files of one writer
    are joined in their order, so that none of another kind is covered.
    """

    def __init__(self) -> None:
        self._done: dict[Path, set[tuple[Roll, ...]]] = {}

    def merge(self, folder: Path, rolls: Rolls, terms: Terms) -> None:
        """Join what can be joined in a folder. Raises `OSError` with the rest left for later."""
        listing = rolls.below(folder)
        for inside in listing.inside:
            terms.steps.delete(inside.path)
        before = self._done.get(folder, set())
        done: set[tuple[Roll, ...]] = set()
        self._done[folder] = done
        left = MOST_MERGED
        for hour in _hours(listing.rolls, terms.settled):
            if hour in before:
                done.add(hour)
            elif left > 0:
                made = _merge_hour(hour, terms)
                left -= made
                if not made:
                    done.add(hour)


def _hours(rolls: Iterable[Roll], settled: float) -> Iterator[tuple[Roll, ...]]:
    """Neighbours of one writer, date and hour that is over, where there are several."""
    timed = [(roll, roll.path.stat().st_mtime_ns // _HOUR) for roll in rolls]
    grouped = groupby(timed, lambda each: (each[0].writer, each[0].path.parent, each[1]))
    for (_, _, hour), members in grouped:
        found = tuple(roll for roll, _ in members)
        if len(found) > 1 and (hour + 1) * _HOUR <= settled:
            yield found


def _merge_hour(hour: Sequence[Roll], terms: Terms) -> int:
    """Join files of one hour; returns how many larger ones were made."""
    made = 0
    folder, writer = hour[0].path.parent, hour[0].writer
    for run in _runs(map(_roll_part, hour), terms.most_rows):
        if len(run.parts) > 1:
            with contextlib.suppress(errors.Permanent):
                _replace(folder, writer, run, _row_groups(run.parts), terms)
                made += 1
    return made


def _roll_part(roll: Roll) -> _Part | None:
    """None for a file that cannot be read, or holds something else than it says."""
    try:
        with opened(roll.path) as file:
            held, rows = held_in(file), file.metadata.num_rows
            schema = file.schema_arrow.remove_metadata()
    except errors.Permanent as problem:
        set_aside(roll.path, problem)
        return None
    part = _Part(roll.path, schema, held, roll.path.stat().st_size)
    ends = [each.sequence for each in held[:1] + held[-1:]]
    return part if ends == [roll.first, roll.last] and part.rows == rows else None


def _row_groups(run: Sequence[_Part]) -> Iterator[pa.Table]:
    """What files hold, a row group at a time; one that cannot be read is set aside."""
    for part in run:
        try:
            with opened(part.path) as file:
                for number in range(file.num_row_groups):
                    yield file.read_row_group(number)
        except errors.Permanent as problem:
            set_aside(part.path, problem)
            raise


class _Run:
    """Neighbours that become one file: by their columns, in rows and in bytes."""

    def __init__(self, first: _Part) -> None:
        self.parts = [first]
        self.schema = first.schema
        self._rows, self._size = first.rows, first.size

    def add(self, part: _Part, most_rows: int) -> bool:
        """Take one more; False when it does not fit. A column that a part lacks is null in it."""
        rows, size = self._rows + part.rows, self._size + part.size
        if rows > most_rows or size > MERGED_BYTES:
            return False
        try:
            schemas = [self.schema, part.schema]
            self.schema = pa.unify_schemas(schemas, promote_options="default")
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            return False
        self.parts.append(part)
        self._rows, self._size = rows, size
        return True


def _runs(parts: Iterable[_Part | None], most_rows: int) -> Iterator[_Run]:
    run: _Run | None = None
    for part in parts:
        if run is not None and part is not None and run.add(part, most_rows):
            continue
        if run is not None:
            yield run
        run = None if part is None else _Run(part)
    if run is not None:
        yield run


def _replace(
    folder: Path, writer: str, run: _Run, tables: Iterable[pa.Table], terms: Terms
) -> None:
    """Write a file of what the parts hold and delete them; what fails leaves them as they are."""
    steps, held = terms.steps, [each for part in run.parts for each in part.held]
    path = folder / f"{writer}-{held[0].sequence}-{held[-1].sequence}.parquet"
    unfinished = path.with_suffix(".tmp")
    try:
        groups = _resting(_groups(run.schema, tables), terms.rest)
        _write(unfinished, run.schema, groups, held)
        steps.rename(unfinished, path)
    except Exception:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    for part in run.parts:
        steps.delete(part.path)


def _write(path: Path, schema: pa.Schema, groups: Iterable[pa.Table], held: Sequence[Held]) -> None:
    """A file on the disk, as old as the newest segment in it."""
    newest = max(each.time for each in held)
    with path.open("wb") as sink:
        with pq.ParquetWriter(sink, schema, **_encoding(schema)) as writer:
            for group in groups:
                writer.write_table(group)
            writer.add_key_value_metadata({HELD.decode(): msgspec.json.encode(held).decode()})
        sink.flush()
        os.utime(path, ns=(newest, newest))
        os.fsync(sink.fileno())


def _resting(groups: Iterable[pa.Table], rest: Callable[[], None]) -> Iterator[pa.Table]:
    for group in groups:
        yield group
        rest()


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written. A dictionary of values that differ is larger than they are; the
    bytes of numbers, place by place, are smaller. Only times are asked for by their range."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    textual = [field.name for field in schema if _textual(field.type)]
    texts = [name for name in textual if name not in DIFFERENT]
    return {
        "compression": "zstd",
        "write_page_checksum": True,
        "use_dictionary": texts,
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
        "write_statistics": [name for name in RANGED if name in schema.names],
    }


def _textual(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def _groups(schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of a row group each."""
    waiting, rows = [schema.empty_table()], 0
    for table in tables:
        waiting.append(table.replace_schema_metadata(None))
        rows += len(table)
        if rows >= ROW_GROUP:
            whole = pa.concat_tables(waiting, promote_options="default")
            for start in range(0, rows - ROW_GROUP + 1, ROW_GROUP):
                yield whole.slice(start, ROW_GROUP)
            rows %= ROW_GROUP
            waiting = [whole.slice(len(whole) - rows)]
    if rows:
        yield pa.concat_tables(waiting, promote_options="default")
