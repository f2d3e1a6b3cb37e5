"""How the segments of the request log lie in the state folder, and how they become columns.

A finished segment is `<writer>-<sequence>.arrow`; a rolled one is part of a Parquet file (`rolls`).
"""

import datetime
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.backends.mapped import LastMapped
from trimtab.backends.roll_reading import reading, unreadable
from trimtab.backends.rolls import Roll, Rolls
from trimtab.domain.records import (
    FIXED_COLUMNS,
    LABEL_COLUMNS,
    CodedTexts,
    Column,
    Labels,
    Lazy,
    Paired,
    Rows,
)

if TYPE_CHECKING:
    Chunked: TypeAlias = pa.ChunkedArray[Any]
else:
    Chunked = pa.ChunkedArray  # not subscriptable at run time

INPUT = "in."
OUTPUT = "out."
TOLD = "told."


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """One finished Arrow segment on disk. `time` is when it became visible, in ns."""

    writer: str
    sequence: int
    time: int
    path: Path

    @property
    def date(self) -> str:
        """The UTC day on which it was finished, ISO 8601."""
        return datetime.datetime.fromtimestamp(self.time / 1e9, datetime.UTC).date().isoformat()


def parse_piece(name: str) -> tuple[str, int] | None:
    """Writer and sequence of `<writer>-<sequence>.arrow`, None for any other name."""
    stem = name.removesuffix(".arrow")
    writer, _, sequence = stem.rpartition("-")
    if stem == name or not writer or not sequence.isdigit():
        return None
    return writer, int(sequence)


def list_pieces(folder: Path, after: Mapping[str, int] | None = None) -> list[Piece]:
    """Arrow segments in `folder`, by writer and sequence, with no hole inside a writer.

    Those up to the sequence that `after` has for their writer are left out: a reader that comes
    back often does not look at each of them again.

    A listing that runs while files appear may show a later one and miss an earlier one. Every
    file older than one that the first listing showed is in the second, so what the second adds
    beyond the first is left for the next time.
    """
    known = after or {}
    newest: dict[str, int] = {}
    for writer, sequence, _ in _scan(folder, known):
        newest[writer] = max(sequence, newest.get(writer, -1))
    if not newest:
        return []
    found = [
        Piece(writer, sequence, entry.stat().st_mtime_ns, Path(entry.path))
        for writer, sequence, entry in _scan(folder, known)
        if sequence <= newest.get(writer, -1)
    ]
    return _in_order(found)


def _scan(folder: Path, after: Mapping[str, int]) -> list[tuple[str, int, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            named = [(parse_piece(entry.name), entry) for entry in entries]
    except FileNotFoundError:
        return []
    return [
        (*name, entry)
        for name, entry in named
        if name is not None and name[1] > after.get(name[0], -1)
    ]


def _in_order(pieces: Iterable[Piece]) -> list[Piece]:
    """Sorted by writer and sequence, with times that never fall within a writer."""
    ordered: list[Piece] = []
    for piece in sorted(pieces):
        before = ordered[-1] if ordered and ordered[-1].writer == piece.writer else None
        time = max(piece.time, before.time) if before else piece.time
        ordered.append(Piece(piece.writer, piece.sequence, time, piece.path))
    return ordered


def visible(
    folder: Path, rolls: Rolls, after: Mapping[str, int] | None = None
) -> tuple[list[Piece], tuple[Roll, ...], list[Piece]]:
    """What counts now: Arrow segments, Parquet files, and Arrow segments that were rolled already.

    Of both only what holds segments beyond the sequence that `after` has for their writer.

    Segments are listed before Parquet files: one that is rolled in between is then seen twice and
    left out once, never the other way round.
    """
    pieces = list_pieces(folder, after)
    listing = rolls.below(folder)
    fresh: list[Piece] = []
    leftover: list[Piece] = []
    for piece in pieces:
        rolled = listing.covering(piece.writer, piece.sequence) is not None
        (leftover if rolled else fresh).append(piece)
    return fresh, tuple(listing.beyond(after or {})), leftover


def read_arrow(path: Path, mapped: LastMapped | None = None) -> pa.Table:
    """A segment as a table, mapped and not copied; it stays readable when the file is deleted.

    With `mapped`, pages of the segment that was read before by it are given back. Raises as
    `reading`, and FileNotFoundError when gone. What lies between whole pages of a torn file may be
    anything, and whoever followed offsets that lead out of it would be killed.
    """
    if path.stat().st_size == 0:
        raise unreadable(path)
    with reading(path):
        table = pa.ipc.open_file((mapped or LastMapped()).open(path)).read_all()
        table.validate(full=True)
    return table


def to_rows(table: pa.Table) -> Rows:
    """A table of a row segment as columns, each decoded when somebody asks for it."""
    fixed = {
        name: partial(_decoded, _column(table, name, kind), kind) for name, kind in FIXED_COLUMNS
    }
    return Rows(Lazy(fixed, len(table)), _prefixed(table, INPUT), _prefixed(table, OUTPUT))


def to_labels(table: pa.Table) -> Labels:
    """A table of a label segment as columns."""
    kinds = dict(LABEL_COLUMNS)
    made = {
        name: partial(_decoded, _column(table, name, kinds[name]), kinds[name]) for name in kinds
    }
    return Labels(Lazy(made, len(table)))


def to_paired(table: pa.Table) -> Paired:
    """A table of a parity segment as columns."""
    return Paired(to_rows(table), _prefixed(table, TOLD))


def _prefixed(table: pa.Table, prefix: str) -> Lazy:
    named = zip(table.column_names, table.columns, strict=True)
    found = {name: column for name, column in named if name.startswith(prefix)}
    makers = {name.removeprefix(prefix): partial(_values, each) for name, each in found.items()}
    return Lazy(makers, len(table))


ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "uint64": pa.uint64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}
"""Arrow types by the names that `domain.records` gives them."""
FEW = frozenset(("release", "mode", "lane", "rollout", "outcome", "worker"))
"""Fixed columns of few different texts, which are dictionaries in row segments."""
CODED: pa.DataType = pa.dictionary(pa.int32(), pa.string())
"""The Arrow type of these."""
_NUMPY: Mapping[str, Any] = {
    "int32": np.int32,
    "uint64": np.uint64,
    "float64": np.float64,
    "bool": np.bool_,
}


def _column(table: pa.Table, name: str, kind: str) -> Chunked:
    """A fixed column. A text that older segments do not have is missing in each of their rows."""
    if kind == "string" and name not in table.column_names:
        return pa.chunked_array([pa.nulls(len(table), pa.string())])
    return table.column(name)


def _decoded(column: Chunked, kind: str) -> Column:
    """A fixed column: texts, or the numpy type of the same name."""
    if kind == "string":
        return _texts(column)
    return column.to_numpy().astype(_NUMPY[kind], copy=False)


def _values(column: Chunked) -> Column:
    kind: Any = column.type
    if pa.types.is_nested(kind):
        values = np.empty(len(column), dtype=object)
        values[:] = column.to_pylist()
        return values
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(column)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    return pc.cast(column, pa.float64()).to_numpy()


LOOKED_AT = 64
"""Texts at the start of a column that tell whether its texts differ."""


def _texts(column: Chunked) -> Column:
    """Texts by their names where they repeat, as most do; as objects where they differ, as ids."""
    if column.null_count == len(column):
        return CodedTexts.missing(len(column))
    encoded: Any = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        head = encoded[:LOOKED_AT]
        if 2 * len(head.unique()) > len(head):
            values = np.empty(len(column), dtype=object)
            values[:] = column.to_numpy()
            return values
        encoded = encoded.dictionary_encode()
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return CodedTexts(tuple(encoded.dictionary.to_pylist()), places.astype(np.int64))
