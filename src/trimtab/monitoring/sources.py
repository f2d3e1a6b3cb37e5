"""Tables of any kind as Arrow batches that can be read again: memory, Parquet, Arrow files, CSV.

Frames of other libraries become Arrow tables in `build.frames`.
"""

import glob
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from trimtab import errors
from trimtab.build.dialect import SUFFIXES
from trimtab.build.frames import table_of_frame
from trimtab.build.listing import listing
from trimtab.build.reference import read_table
from trimtab.monitoring.columns import is_text, unusable

BATCH_ROWS = 16_384
"""Rows read at a time."""

PAGE_BYTES = 65_536
"""What is read of a column of a Parquet file at a time, not the whole row group of it."""

ARROW = frozenset({".arrow", ".ipc", ".feather"})
PARQUET = frozenset({".parquet", ".pq"})


T = TypeVar("T")


class Chunk(NamedTuple):
    """Rows that are counted together, and the lengths of the batches that they were read in."""

    batch: pa.RecordBatch
    read: tuple[int, ...]


class Source(Protocol):
    """A table that can be read more than once, some columns at a time, always in the same order."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are."""
        ...

    @property
    def together(self) -> int:
        """How many batches are counted at once, at most: what a part costs whatever its rows is
        then paid less often, and more rows are held."""
        ...

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows of these columns, at most `BATCH_ROWS` at a time."""
        ...

    def chunks(self, columns: Sequence[str], most: int) -> Iterator[Chunk]:
        """The same, at most so many batches together."""
        ...


class TableSource:
    """A table in memory."""

    together = 3

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema = table.schema
        self.rows = table.num_rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Slices of large chunks, copies of small ones."""
        table = self._table.select(list(columns))
        yield from _joined(table.to_batches(max_chunksize=BATCH_ROWS))

    def chunks(self, columns: Sequence[str], most: int) -> Iterator[Chunk]:
        """Several batches are copied into one."""
        yield from _chunks(self.batches(columns), most)


class ParquetSource:
    """Parquet files one after another, decoded by pieces: memory does not grow with the rows."""

    # A reader of Parquet holds a page and a dictionary of every column besides the rows.
    together = 2

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._footers = [pq.read_metadata(path) for path in paths]
        self.rows = sum(footer.num_rows for footer in self._footers)
        schemas = [footer.schema.to_arrow_schema() for footer in self._footers]
        self.schema = _common(schemas, paths)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Row groups in their order; text comes as dictionaries, as Parquet holds it."""
        for chunk in self.chunks(columns, 1):
            yield chunk.batch

    def chunks(self, columns: Sequence[str], most: int) -> Iterator[Chunk]:
        """Several batches are decoded at once: they end where they would one by one."""
        texts = [name for name in columns if is_text(self.schema.field(name).type)]
        rows = most * BATCH_ROWS
        for path, footer in zip(self._paths, self._footers, strict=True):
            with pq.ParquetFile(
                path,
                metadata=footer,
                buffer_size=PAGE_BYTES,
                pre_buffer=False,
                read_dictionary=texts,
            ) as file:
                start = 0
                for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
                    end = start + len(batch)
                    inner = range(start - start % BATCH_ROWS + BATCH_ROWS, end, BATCH_ROWS)
                    yield Chunk(batch, tuple(b - a for a, b in pairwise((start, *inner, end))))
                    start = end


class ArrowSource:
    """Arrow files, read a record batch at a time: what is not asked for is not even read."""

    together = 3

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        mapped = [_opened(pa.memory_map(str(path))) for path in paths]
        self.schema = _common([reader.schema for reader in mapped], paths)
        self.rows = sum(len(batch) for reader in mapped for batch in _batches(reader))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Record batches as they were written, large ones in slices, small ones joined."""
        yield from _joined(self._slices(list(columns)))

    def chunks(self, columns: Sequence[str], most: int) -> Iterator[Chunk]:
        """Several batches are copied into one."""
        yield from _chunks(self.batches(columns), most)

    def _slices(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            for batch in _read(path, columns):
                part = batch.select(columns)
                for start in range(0, len(part), BATCH_ROWS):
                    yield part.slice(start, BATCH_ROWS)


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in fewer batches: one of a few rows costs as much to count as one of many."""
    return (chunk.batch for chunk in _chunks(batches, 1))


def _chunks(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[Chunk]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        full = rows + len(batch) > most * BATCH_ROWS
        if held and (full or batch.schema != held[0].schema):
            yield from _one(held)
            rows = 0
        held.append(batch)
        rows += len(batch)
    if held:
        yield from _one(held)


def _one(batches: list[pa.RecordBatch]) -> Iterator[Chunk]:
    """The batches as one; none is left. Neither what was copied nor the copy is held while somebody
    counts it."""
    try:
        made = pa.Table.from_batches(batches).combine_chunks().to_batches()
    except pa.ArrowInvalid:
        # Narrow indices cannot hold the places of several dictionaries together.
        made = [*batches]
    alone = len(made) == 1
    read = [tuple(map(len, batches))] if alone else [(len(batch),) for batch in made]
    batches.clear()
    for lengths in read:
        yield Chunk(made.pop(0), lengths)


class Reader:
    """A thread that reads while the caller does something else; with `threads` of one there is
    none, and what is asked for is read then. It is one, for each would keep memory of its own."""

    def __init__(self, threads: int) -> None:
        self._thread = None if threads == 1 else ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def begin(self, make: Callable[[], T]) -> Callable[[], T]:
        """Asks for what `make` makes, which is begun with. It raises what went wrong with it."""
        return make if self._thread is None else self._thread.submit(make).result

    def ahead(self, things: Iterator[T]) -> Iterator[T]:
        """The same things; the next one is made while one is used."""
        coming = self.begin(partial(next, things, None))
        while (thing := coming()) is not None:
            coming = self.begin(partial(next, things, None))
            yield thing


def opened(
    data: Any, what: str, ignored: Sequence[str] = (), meant: Sequence[str | None] = ()
) -> Source:
    """What the caller gave, as a source. `what` is its name in messages.

    Columns of frames that are `ignored` are not even converted. Of a pandas frame, levels of its
    index that are `meant` are columns too.

    Takes an Arrow table, batches or a reader, a pandas or polars frame, a DuckDB relation, a dict
    of columns, a list of dicts, a path, a pattern or several paths. Raises `Usage`: TT-210 without
    such a file, TT-910 for anything that is no table, cannot be read, or holds no rows.
    """
    try:
        source = _source(_arranged(data, ignored, meant), what)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as cause:
        parts = [cause] if isinstance(cause, OSError) else cause.args
        told = "; ".join(map(str, parts)).partition("\n")[0].rstrip(".")
        told = f"it cannot be read as a table: {told}"
        raise unusable(what, told, "convert a column, or leave it out with ignore=[…]") from cause
    except errors.Usage as error:
        if error.code != errors.BAD_REFERENCE:
            raise
        raise unusable(what, error.message) from error
    if not source.rows:
        raise unusable(what, "it holds no rows")
    return source


def _arranged(data: Any, ignored: Sequence[str], meant: Sequence[str | None]) -> Any:
    """A pandas frame without what is ignored, and with what its index is meant for."""
    if type(data).__module__.partition(".")[0] != "pandas" or not hasattr(data, "columns"):
        return data
    levels = [name for name in data.index.names if name in meant and name is not None]
    levels = [name for name in levels if name not in data.columns]
    data = data.reset_index(level=levels) if levels else data
    gone = [name for name in ignored if name in data.columns]
    return data.drop(columns=gone) if gone else data


def _source(data: Any, what: str) -> Source:
    if isinstance(data, str | Path):
        return _of_files(_paths(str(data), what), what)
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | Path):
        paths = [path for each in data for path in _paths(str(each), what)]
        return _of_files(paths, what)
    return TableSource(_table(data, what))


def _table(data: Any, what: str) -> pa.Table:
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        data = {name: [row.get(name) for row in data] for name in data[0]}
    if isinstance(data, Mapping):
        return pa.table({name: _column(name, values, what) for name, values in data.items()})
    try:
        return table_of_frame(data)
    except TypeError as cause:
        raise unusable(what, f"{cause}, or files") from None


def _column(name: str, values: Any, what: str) -> Any:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise unusable(what, f"{name!r} is one value, and a column has a list of one for each row")
    return pa.array(values, from_pandas=True)


def _paths(text: str, what: str) -> list[Path]:
    if Path(text).is_file():
        return [Path(text)]
    found = sorted(Path(name) for name in glob.glob(text, recursive=True))  # noqa: PTH207
    files = [path for path in found if path.is_file()]
    if files:
        return files
    folder = Path(text).is_dir()
    raise errors.Usage(
        errors.MISSING_FILE,
        "monitor",
        what,
        f"{text} is a folder: name its files, such as {Path(text) / '*.parquet'}"
        if folder
        else f"there is no file {text}",
        unchanged="nothing was judged",
        hint=f"ls {shlex.quote(text)}" if folder else listing(Path(text)),
    )


def _of_files(paths: Sequence[Path], what: str) -> Source:
    endings = {path.suffix.lower() for path in paths}
    if endings <= PARQUET:
        return ParquetSource(paths)
    if endings <= ARROW:
        return ArrowSource(paths)
    if endings <= SUFFIXES:
        tables = [read_table(path) for path in paths]
        return TableSource(pa.concat_tables(tables, promote_options="permissive"))
    told = ", ".join(sorted(endings))
    apart = " together" if len(endings) > 1 else ""
    raise unusable(
        what, f"files ending in {told} are not known{apart}", "use .parquet, .arrow or .csv"
    )


def _common(schemas: Sequence[pa.Schema], paths: Sequence[Path]) -> pa.Schema:
    """The schema of the first file; the others must have its columns."""
    first = schemas[0]
    for schema, path in zip(schemas, paths, strict=True):
        lacking = [name for name in first.names if name not in schema.names]
        if lacking:
            raise unusable(path.name, f"it has no column {lacking[0]!r}, which others have")
    return first


def _opened(file: pa.NativeFile, options: Any = None) -> Any:
    """A reader of either of the two formats of Arrow files."""
    try:
        return pyarrow.ipc.open_file(file, options=options)
    except pa.ArrowInvalid:
        file.seek(0)
        return pyarrow.ipc.open_stream(file, options=options)


def _read(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The record batches of a file, with no other columns than these. The pages of a mapped file
    would count as memory of the process until the file is closed."""
    with pa.OSFile(str(path), "rb") as file:
        schema = _opened(file).schema
        file.seek(0)
        fields = [schema.get_field_index(name) for name in columns]
        options = pyarrow.ipc.IpcReadOptions(included_fields=fields)
        yield from _batches(_opened(file, options))


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if hasattr(reader, "num_record_batches"):
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from reader
