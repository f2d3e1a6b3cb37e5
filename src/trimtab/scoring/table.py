"""Tables on disk, read and written a chunk at a time: Parquet or CSV, by the suffix."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from trimtab import errors

PARQUET = frozenset({".parquet", ".pq"})
CSV = frozenset({".csv"})
BLOCK_BYTES = 8 * 1024 * 1024
"""What of a CSV file is parsed at a time; no row may be longer."""


class Source:
    """A table that is read from its beginning to its end, as often as wanted.

    `types` are the types that columns of a CSV file are read as; a Parquet file has its own.
    Raises `Usage` TT-904 when it cannot be read.
    """

    def __init__(self, path: Path, types: Mapping[str, pa.DataType]) -> None:
        self.path = path
        self._types = dict(types)
        self._is_csv = _is_csv(path)
        if not path.is_file():
            raise errors.Usage(
                errors.MISSING_FILE, "read", str(path), "there is no such file", hint=f"ls {path}"
            )

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        try:
            if not self._is_csv:
                return pyarrow.parquet.read_schema(self.path)
            with self._open_csv() as reader:
                return reader.schema
        except (pa.ArrowInvalid, OSError) as cause:
            raise self._unreadable() from cause

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
        except (pa.ArrowInvalid, OSError) as cause:
            raise self._unreadable() from cause
        if kept:
            yield pa.Table.from_batches(kept)

    def _batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        if self._is_csv:
            with self._open_csv() as reader:
                yield from reader
        else:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                yield from file.iter_batches(batch_size=rows)

    def _open_csv(self) -> pyarrow.csv.CSVStreamingReader:
        return pyarrow.csv.open_csv(
            self.path,
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
            convert_options=pyarrow.csv.ConvertOptions(
                strings_can_be_null=True, column_types=self._types
            ),
        )

    def _unreadable(self) -> errors.Usage:
        return errors.Usage(
            errors.BAD_TABLE,
            "read",
            str(self.path),
            "it cannot be read as a table",
            unchanged="what was done with earlier rows stays",
            hint="use .parquet or .csv, with a header",
        )


def check_writable(path: Path, schema: pa.Schema) -> None:
    """Raise `Usage` TT-904 if a table of this schema cannot be written there."""
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested and _is_csv(path):
        raise _unusable(path, f"{nested[0]!r} has several values a row", "use .parquet")
    if not path.parent.is_dir():
        raise _unusable(path, "there is no such folder", f"mkdir -p {path.parent}")


def write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables of a schema one after another, as the suffix says."""
    if _is_csv(path):
        with pyarrow.csv.CSVWriter(path, schema) as csv:
            for table in tables:
                csv.write_table(table)
        return
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as parquet:
        for table in tables:
            parquet.write_table(table)


def _unusable(path: Path, problem: str, hint: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_TABLE, "use", str(path), problem, unchanged="no row was sent", hint=hint
    )


def _is_csv(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in CSV | PARQUET:
        return suffix in CSV
    raise _unusable(path, f"files ending in {path.suffix!r} are not known", "use .parquet or .csv")
