"""Tables on disk, read and written a chunk at a time: Parquet or CSV, by the suffix."""

import gzip
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from trimtab import errors
from trimtab.build.dialect import Dialect, dialect
from trimtab.build.listing import listing
from trimtab.scoring.columns import lossless

PARQUET = frozenset({".parquet", ".pq"})
CSV = frozenset({".csv", ".csv.gz"})
BLOCK_BYTES = 8 * 1024 * 1024
"""What of a CSV file is parsed at a time; no row may be longer."""
_UNREADABLE = (OSError, ValueError, pa.ArrowException)
"""What is raised where a file holds no table, or one that Arrow does not read."""


class Source:
    """A table that is read from its beginning to its end, as often as wanted.

    `types` are the types that columns of a CSV file are read as; a Parquet file has its own. All
    other columns of a CSV file are what they look like where that loses nothing, for which the file
    is read once more, or with `verbatim` the texts that they are, but where fractions are written
    with a comma: there they become numbers as CSV writes them here.
    Raises `Usage` TT-904 when it cannot be read.
    """

    def __init__(
        self, path: Path, types: Mapping[str, pa.DataType], verbatim: bool = False
    ) -> None:
        self.path = path
        self._types = dict(types)
        self._verbatim = verbatim
        self._is_csv = _is_csv(path)
        self._known: pa.Schema | None = None
        if not path.is_file():
            raise errors.Usage(
                errors.MISSING_FILE,
                "read",
                str(path),
                "there is no such file",
                unchanged="no row was sent",
                hint=listing(path),
            )

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        try:
            if not self._is_csv:
                return pyarrow.parquet.read_schema(self.path)
            return self._csv_schema(self._dialect())
        except _UNREADABLE as cause:
            raise self._unreadable(cause) from cause

    def chunks(self, rows: int) -> Iterator[pa.Table]:
        """All rows, `rows` at a time; only the last chunk has fewer."""
        kept: list[pa.RecordBatch] = []
        have = 0
        try:
            for batch in self._batches(rows):
                start = 0
                while have + len(batch) - start >= rows:
                    taken = batch.slice(start, rows - have)
                    yield pa.Table.from_batches([*kept, taken])
                    start += len(taken)
                    kept, have = [], 0
                if start < len(batch):
                    kept.append(batch.slice(start))
                    have += len(batch) - start
        except _UNREADABLE as cause:
            raise self._unreadable(cause) from cause
        if kept:
            yield pa.Table.from_batches(kept)

    def _batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        if self._is_csv:
            yield from self._csv_batches(self._dialect())
        else:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                yield from file.iter_batches(batch_size=rows)

    def _csv_batches(self, spoken: Dialect) -> Iterator[pa.RecordBatch]:
        done, schema = 0, self._csv_schema(spoken)
        for batch in self._texts(spoken, schema.names):
            try:
                columns = [
                    read_as(field.type, column, spoken.decimal)
                    for field, column in zip(schema, batch.columns, strict=True)
                ]
            except pa.ArrowInvalid:
                raise self._misread(batch, schema, done, spoken.decimal) from None
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
            done += len(batch)

    def _csv_schema(self, spoken: Dialect) -> pa.Schema:
        if self._known is None:
            with self._opened(spoken) as reader:
                looks = reader.schema
            kinds = {**self._others(spoken, looks), **self._types}
            self._known = pa.schema([(name, kinds[name]) for name in looks.names])
        return self._known

    def _others(self, spoken: Dialect, looks: pa.Schema) -> Mapping[str, pa.DataType]:
        """The types of the columns that are in no need of one."""
        others = {each.name: each.type for each in looks if each.name not in self._types}
        if self._verbatim and spoken.decimal == ".":
            return dict.fromkeys(others, pa.string())
        return lossless(others, self._texts(spoken, looks.names), spoken.decimal)

    def _dialect(self) -> Dialect:
        return dialect(self.path)

    def _texts(self, spoken: Dialect, names: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """All columns as texts, for Arrow takes `44.0` for no whole number and does not say which
        row it could not read."""
        with self._opened(spoken, names) as reader:
            yield from reader

    def _opened(self, spoken: Dialect, texts: Iterable[str] = ()) -> pyarrow.csv.CSVStreamingReader:
        return pyarrow.csv.open_csv(
            str(self.path),
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=spoken.parsing(),
            convert_options=pyarrow.csv.ConvertOptions(
                strings_can_be_null=True,
                column_types=dict.fromkeys(texts, pa.string()),
                decimal_point=spoken.decimal,
            ),
        )

    def _misread(
        self, batch: pa.RecordBatch, schema: pa.Schema, done: int, decimal: str
    ) -> errors.Usage:
        """The first value of a batch that is not what its column holds; `done` rows were before."""
        for row in range(len(batch)):
            for field, column in zip(schema, batch.columns, strict=True):
                try:
                    read_as(field.type, column.slice(row, 1), decimal)
                except pa.ArrowInvalid:
                    told = f"{field.name!r} is {column[row].as_py()!r}, no {_called(field.type)}"
                    return self._bad(f"row {done + row:,}: {told}", "rows are counted from 0")
        raise AssertionError("every value of the batch can be read")

    def _unreadable(self, cause: Exception) -> errors.Usage:
        told = str(cause).partition("\n")[0].rstrip(".")
        return self._bad(
            f"it cannot be read as a table: {told}", "use .parquet, or .csv in UTF-8 with a header"
        )

    def _bad(self, problem: str, hint: str) -> errors.Usage:
        unchanged = "what was done with earlier rows stays"
        return errors.Usage(
            errors.BAD_TABLE, "read", str(self.path), problem, unchanged=unchanged, hint=hint
        )


def read_as(kind: pa.DataType, column: "pa.Array[Any]", decimal: str = ".") -> "pa.Array[Any]":
    """Texts of a CSV file as values of a type; what is of it already stays.

    A whole number may be written with a fraction that is zero, as pandas writes a column where some
    are missing, and so may a truth value. Raises `ArrowInvalid` for what is no such value.
    """
    if column.type == kind or not pa.types.is_string(column.type):
        return column
    if pa.types.is_null(kind):
        return pa.nulls(len(column))
    texts = pc.utf8_trim_whitespace(column)
    if decimal != ".":
        texts = pc.replace_substring(texts, decimal, ".")
    if pa.types.is_floating(kind):
        return texts.cast(kind)
    return pc.replace_substring_regex(texts, r"^([+-]?\d+)\.0*$", r"\1").cast(kind)


def _called(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return f"whole number ({kind})"
    return "truth value" if pa.types.is_boolean(kind) else "number"


def check_writable(path: Path, schema: pa.Schema) -> None:
    """Raise `Usage` TT-904 if a table of this schema cannot be written there."""
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested and _is_csv(path):
        raise _unusable(path, f"{nested[0]!r} has several values a row", "use .parquet")
    for field in schema if _is_csv(path) else ():
        try:
            pyarrow.csv.CSVWriter(io.BytesIO(), pa.schema([field])).close()
        except pa.ArrowInvalid as cause:
            told = f"{field.name!r} is {field.type}, which CSV does not hold"
            raise _unusable(path, told, "use .parquet") from cause
    if not path.parent.is_dir():
        raise _unusable(
            path, "there is no such folder", f"mkdir -p {shlex.quote(str(path.parent))}"
        )


def write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables of a schema one after another, as the suffix says."""
    if _is_csv(path):
        zipped = ending(path) != ".csv"
        with (
            path.open("wb") as file,
            _zipped(file) if zipped else file as stream,
            pyarrow.csv.CSVWriter(stream, schema) as csv,
        ):
            for table in tables:
                csv.write_table(table)
        return
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as parquet:
        for table in tables:
            parquet.write_table(table)


def _zipped(file: BinaryIO) -> BinaryIO:
    """Compressed without time and name, so that the same table is the same bytes."""
    return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0))


def _unusable(path: Path, problem: str, hint: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_TABLE, "use", str(path), problem, unchanged="no row was sent", hint=hint
    )


def ending(path: Path) -> str:
    """The suffix that says what a file holds, with that of its compression."""
    zipped = path.suffix.lower() == ".gz"
    return "".join(path.suffixes[-2:] if zipped else path.suffixes[-1:]).lower()


def _is_csv(path: Path) -> bool:
    found = ending(path)
    if found in CSV | PARQUET:
        return found in CSV
    raise _unusable(
        path, f"files ending in {found!r} are not known", "use .parquet, .csv or .csv.gz"
    )
