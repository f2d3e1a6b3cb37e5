"""How the segments of the request log lie in the state folder, and how they become columns.

A finished segment is `<writer>-<sequence>.arrow`; a rolled one is part of a Parquet file (`rolls`).
"""

import datetime
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.backends.roll_reading import unreadable
from trimtab.backends.rolls import Roll, Rolls
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS, Labels, Paired, Rows

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


def read_arrow(path: Path) -> pa.Table:
    """A segment as a table, mapped and not copied; it stays readable when the file is deleted.

    Raises `Permanent` TT-802 when the bytes are not an Arrow file, FileNotFoundError when gone.
    """
    if path.stat().st_size == 0:
        raise unreadable(path)
    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as cause:
        raise unreadable(path) from cause


def to_rows(table: pa.Table) -> Rows:
    """A table of a row segment as columns."""
    fixed = {name: column_of(table, name, kind) for name, kind in FIXED_COLUMNS}
    return Rows(fixed, _prefixed(table, INPUT), _prefixed(table, OUTPUT))


def to_labels(table: pa.Table) -> Labels:
    """A table of a label segment as columns."""
    return Labels({name: column_of(table, name, kind) for name, kind in LABEL_COLUMNS})


def to_paired(table: pa.Table) -> Paired:
    """A table of a parity segment as columns."""
    return Paired(to_rows(table), _prefixed(table, TOLD))


def _prefixed(table: pa.Table, prefix: str) -> dict[str, NDArray[Any]]:
    names = [name for name in table.column_names if name.startswith(prefix)]
    return {name.removeprefix(prefix): _values(table.column(name)) for name in names}


ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "uint64": pa.uint64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}
"""Arrow types by the names that `domain.records` gives them."""
_NUMPY: Mapping[str, Any] = {
    "int32": np.int32,
    "uint64": np.uint64,
    "float64": np.float64,
    "bool": np.bool_,
}


def column_of(table: pa.Table, name: str, kind: str) -> NDArray[Any]:
    """One fixed column: objects for text, the numpy type of the same name for the rest.

    A text that older segments do not have is missing in each of their rows."""
    if kind == "string" and name not in table.column_names:
        return np.full(len(table), None, dtype=object)
    column = table.column(name)
    if kind == "string":
        return _objects(column)
    values = column.to_numpy()
    return values.astype(_NUMPY[kind], copy=False)


def _values(column: "pa.ChunkedArray[Any]") -> NDArray[Any]:
    kind: Any = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_nested(kind):
        return _objects(column)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    decoded: NDArray[Any] = column.cast(pa.float64()).to_numpy()
    return decoded


def _objects(column: "pa.ChunkedArray[Any]") -> NDArray[np.object_]:
    """Texts as objects; equal ones are one object where they repeat, for readers hold many rows."""
    values = np.empty(len(column), dtype=object)
    if pa.types.is_nested(column.type):
        values[:] = column.to_pylist()
        return values
    encoded: Any = column.combine_chunks().dictionary_encode()
    known = len(encoded.dictionary)
    if 2 * known > len(column):
        values[:] = column.to_numpy()
        return values
    texts = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)
    places = encoded.indices.to_numpy(zero_copy_only=False)
    if encoded.indices.null_count:
        places = np.nan_to_num(places, nan=known).astype(np.intp)
    values[:] = texts[places]
    return values
