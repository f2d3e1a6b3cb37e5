"""Attempts and labels as Arrow tables, with the columns of `trimtab.domain.records`."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.backends.requestlog_files import ARROW, INPUT, OUTPUT
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS
from trimtab.ports.logsink import Entry, LabelBlock, LogSchema, Texts, ValueKind

if TYPE_CHECKING:
    Array: TypeAlias = pa.Array[Any]
else:
    Array = pa.Array  # not subscriptable at run time

_OF_ENTRY = tuple(name for name, _ in FIXED_COLUMNS if name not in ("row", "release"))
_fields = attrgetter(*_OF_ENTRY)


def row_groups(schemas: Iterable[LogSchema]) -> dict[str, list[list[LogSchema]]]:
    """Schemas that fit into one table: same deployment, and no column of two kinds."""
    groups: dict[str, list[list[LogSchema]]] = {}
    kinds: dict[tuple[str, int], dict[str, ValueKind]] = {}
    for schema in schemas:
        mine = _column_kinds(schema)
        of_deployment = groups.setdefault(schema.deployment, [])
        for number, group in enumerate(of_deployment):
            known = kinds[schema.deployment, number]
            if all(known.get(name, kind) == kind for name, kind in mine.items()):
                group.append(schema)
                known.update(mine)
                break
        else:
            kinds[schema.deployment, len(of_deployment)] = mine
            of_deployment.append([schema])
    return groups


def _column_kinds(schema: LogSchema) -> dict[str, ValueKind]:
    kinds = {f"{INPUT}{name}": kind for name, kind in schema.inputs}
    if schema.key is not None:
        kinds[f"{INPUT}{schema.key}"] = "text"
    return kinds | {f"{OUTPUT}{name}": kind for name, kind in schema.outputs}


def rows_table(entries: Mapping[LogSchema, Sequence[Entry]]) -> pa.Table:
    """One table of all attempts; a column that a release lacks is null in its rows."""
    tables = [_schema_table(schema, each) for schema, each in entries.items()]
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def labels_table(blocks: Sequence[LabelBlock]) -> pa.Table:
    """One table of all labels."""
    return pa.table(
        {
            name: pa.array(_chained([b.columns[position] for b in blocks]), type=ARROW[kind])
            for position, (name, kind) in enumerate(LABEL_COLUMNS)
        }
    )


def _schema_table(schema: LogSchema, entries: Sequence[Entry]) -> pa.Table:
    rows = np.array([entry.rows for entry in entries])
    columns = _fixed(schema, entries, rows)
    columns |= _inputs(schema, entries)
    if schema.key is not None:
        keys = [_or_missing(entry.key, entry) for entry in entries]
        columns[f"{INPUT}{schema.key}"] = pa.array(_chained(keys), type=pa.string())
    for position, (name, kind) in enumerate(schema.outputs):
        columns[f"{OUTPUT}{name}"] = _output(entries, rows, position, kind)
    return pa.table(columns)


def _fixed(
    schema: LogSchema, entries: Sequence[Entry], rows: NDArray[np.int64]
) -> dict[str, Array]:
    total = int(rows.sum())
    several = total > len(rows)
    spread = np.repeat(np.arange(len(rows)), rows) if several else None
    values = dict(zip(_OF_ENTRY, zip(*map(_fields, entries), strict=True), strict=True))
    columns: dict[str, Array] = {}
    for name, kind in FIXED_COLUMNS:
        if name == "row":
            starts = np.repeat(np.cumsum(rows) - rows, rows)
            columns[name] = pa.array((np.arange(total) - starts).astype(np.int32))
        elif name == "release":
            columns[name] = pa.repeat(pa.scalar(schema.release), total)
        else:
            columns[name] = _column(values[name], ARROW[kind], spread)
    return columns


def _column(values: Sequence[Any], kind: pa.DataType, spread: NDArray[np.int64] | None) -> Array:
    """One value an attempt, repeated for its rows. Most columns are the same throughout."""
    first = values[0]
    if first == values[-1] and values.count(first) == len(values):
        constant: Any = pa.scalar(first, kind)
        same: Array = pa.repeat(constant, len(values) if spread is None else len(spread))
        return same
    column: Array = pa.array(values, type=kind)
    return column if spread is None else column.take(spread)


def _inputs(schema: LogSchema, entries: Sequence[Entry]) -> dict[str, Array]:
    if any(isinstance(entry.inputs, bytes) for entry in entries):
        return _matrix_inputs(schema, entries)
    columns: dict[str, Array] = {}
    for position, (name, kind) in enumerate(schema.inputs):
        parts = [
            entry.inputs[position] if isinstance(entry.inputs, list) else [None] * entry.rows
            for entry in entries
        ]
        columns[f"{INPUT}{name}"] = _values(_chained(parts), kind)
    return columns


def _matrix_inputs(schema: LogSchema, entries: Sequence[Entry]) -> dict[str, Array]:
    """All inputs are numbers, and lie row by row."""
    width = len(schema.inputs)
    blank = np.full(width, np.nan).tobytes()
    parts = [blank * e.rows if not isinstance(e.inputs, bytes) else e.inputs for e in entries]
    matrix = np.frombuffer(b"".join(parts), dtype="<f8").reshape(-1, width)
    by_column = np.ascontiguousarray(matrix.T)
    return {
        f"{INPUT}{name}": pa.array(by_column[position], from_pandas=True)
        for position, (name, _) in enumerate(schema.inputs)
    }


def _values(values: list[Any], kind: ValueKind) -> Array:
    """Numbers become float64 whatever they were, because monitors compare them as such."""
    if kind == "number":
        return pa.array(np.array(values, dtype=np.float64), from_pandas=True)
    return pa.array(values, type=pa.string())


def _output(
    entries: Sequence[Entry], rows: NDArray[np.int64], position: int, kind: ValueKind
) -> Array:
    parts = [None if e.outputs is None else e.outputs[position] for e in entries]
    if kind == "text":
        texts = [_or_missing(p, e) for p, e in zip(parts, entries, strict=True)]
        return pa.array(_chained(texts), type=pa.string())
    if kind == "vector":
        return _vectors(parts, rows)
    blank = np.full(1, np.nan).tobytes()
    held = [_bytes(p, blank * int(n)) for p, n in zip(parts, rows, strict=True)]
    numbers: Array = pa.array(np.frombuffer(b"".join(held), dtype="<f8"), from_pandas=True)
    return numbers


def _vectors(parts: Sequence[bytes | Texts | None], rows: NDArray[np.int64]) -> Array:
    """A list of numbers a row; null where there was no answer."""
    held = [_bytes(part, b"") for part in parts]
    widths = np.array([len(data) // 8 for data in held]) // rows
    missing = np.repeat(np.array([part is None for part in parts]), rows)
    offsets = np.concatenate([[0], np.cumsum(np.repeat(widths, rows))])
    mask = np.concatenate([missing, [False]])
    values = pa.array(np.frombuffer(b"".join(held), dtype="<f8"))
    starts = pa.array(offsets, type=pa.int32(), mask=mask)
    lists: Array = pa.ListArray.from_arrays(starts, values)
    return lists


def _bytes(part: bytes | Texts | None, otherwise: bytes) -> bytes:
    return part if isinstance(part, bytes) else otherwise


def _or_missing(part: bytes | Texts | None, entry: Entry) -> Texts:
    return part if isinstance(part, list) else [None] * entry.rows


def _chained(lists: Sequence[list[Any]]) -> list[Any]:
    return lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))
