"""Attempts and labels as Arrow tables, with the columns of `trimtab.domain.records`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.backends.attempts import PACKED, AttemptParts, Chunk
from trimtab.backends.requestlog_files import ARROW, CODED, FEW, INPUT, OUTPUT
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS, Floats, Ints
from trimtab.ports.logsink import Attempts, Bytes, LabelBlock, LogSchema, ValueKind

if TYPE_CHECKING:
    Array: TypeAlias = pa.Array[Any]
else:
    Array = pa.Array  # not subscriptable at run time


Rest = Callable[[], None]
"""Called between two pieces of work that together take long."""
TRANSPOSED = 512
"""Rows of a matrix that are turned into columns at once: they stay in the cache while their columns
are taken out of them."""


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


def rows_table(attempts: Mapping[LogSchema, Sequence[Attempts]], rest: Rest) -> pa.Table:
    """One table of all attempts; a column that a release lacks is null in its rows."""
    tables = [
        _schema_table(schema, AttemptParts(parts), rest) for schema, parts in attempts.items()
    ]
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def labels_table(blocks: Sequence[LabelBlock]) -> pa.Table:
    """One table of all labels."""
    return pa.table(
        {
            name: pa.array(_chained([b.columns[position] for b in blocks]), type=ARROW[kind])
            for position, (name, kind) in enumerate(LABEL_COLUMNS)
        }
    )


def _schema_table(schema: LogSchema, attempts: AttemptParts, rest: Rest) -> pa.Table:
    chunks = attempts.chunks()
    columns = _fixed(schema, attempts, rest)
    columns |= _inputs(schema, chunks, rest)
    if schema.key is not None:
        keys = [_or_missing(chunk.key, chunk) for chunk in chunks]
        columns[f"{INPUT}{schema.key}"] = pa.array(_chained(keys), type=pa.string())
    for position, (name, kind) in enumerate(schema.outputs):
        rest()
        columns[f"{OUTPUT}{name}"] = _output(chunks, position, kind)
    return pa.table(columns)


def _fixed(schema: LogSchema, attempts: AttemptParts, rest: Rest) -> dict[str, Array]:
    rows = attempts.rows
    starts = np.repeat(np.cumsum(rows) - rows, rows)
    columns: dict[str, Array] = {}
    for name, kind in FIXED_COLUMNS:
        rest()
        if name == "row":
            places = np.arange(attempts.total) - starts
            columns[name] = pa.array(places.astype(np.int32))
        elif name == "release":
            columns[name] = _alike(schema.release, CODED, attempts.total)
        else:
            columns[name] = _column(attempts, name, CODED if name in FEW else ARROW[kind])
    return columns


def _column(attempts: AttemptParts, name: str, kind: pa.DataType) -> Array:
    """What parts say once is repeated for their rows, and what they say of each attempt for its
    own. Most columns are the same throughout."""
    said = attempts.said(name)
    types = set(map(type, said))
    if types.issubset(PACKED):
        return _spread(pa.array(np.frombuffer(b"".join(said), dtype="<f8")), attempts.by_attempt)
    if not types.isdisjoint((*PACKED, list)):
        return _spread(pa.array(attempts.each(said), type=kind), attempts.by_attempt)
    if said.count(said[0]) == len(said):
        return _alike(said[0], kind, attempts.total)
    return _spread(pa.array(said, type=kind), attempts.by_part)


def _spread(values: Array, places: Ints | None) -> Array:
    return values if places is None else values.take(places)


def _alike(value: Any, kind: pa.DataType, rows: int) -> Array:
    if kind != CODED or value is None:
        single: Any = pa.scalar(value, kind)
        same: Array = pa.repeat(single, rows)
        return same
    coded: Array = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value]))
    return coded


def _inputs(schema: LogSchema, chunks: Sequence[Chunk], rest: Rest) -> dict[str, Array]:
    if any(isinstance(chunk.inputs, PACKED) for chunk in chunks):
        return _matrix_inputs(schema, chunks, rest)
    columns: dict[str, Array] = {}
    for position, (name, kind) in enumerate(schema.inputs):
        rest()
        parts = [c.inputs[position] if isinstance(c.inputs, list) else None for c in chunks]
        if kind == "vector":
            columns[f"{INPUT}{name}"] = _vectors(parts, np.array([c.rows for c in chunks]))
        elif kind == "number":
            columns[f"{INPUT}{name}"] = _numbers(parts, chunks)
        else:
            columns[f"{INPUT}{name}"] = _texts(parts, chunks)
    return columns


def _matrix_inputs(schema: LogSchema, chunks: Sequence[Chunk], rest: Rest) -> dict[str, Array]:
    """All inputs are numbers, and lie row by row."""
    width = len(schema.inputs)
    total = sum(chunk.rows for chunk in chunks)
    by_column = np.empty((width, total))
    start = 0
    for block in _blocks(chunks, width):
        by_column[:, start : start + len(block)] = block.T
        start += len(block)
        rest()
    if start != total:
        raise ValueError(f"there are values of {start} rows, not of {total}")
    columns: dict[str, Array] = {}
    for position, (name, _) in enumerate(schema.inputs):
        columns[f"{INPUT}{name}"] = _floats(by_column[position])
        rest()
    return columns


def _blocks(chunks: Sequence[Chunk], width: int) -> Iterator[Floats]:
    """The rows of matrices, in order: of small ones some together, large ones part by part."""
    blank = np.full(width, np.nan).tobytes()
    gathered: list[Bytes] = []
    rows = 0
    for chunk in chunks:
        gathered.append(_bytes(chunk.inputs, blank * chunk.rows))
        rows += chunk.rows
        if rows >= TRANSPOSED:
            yield from _parts(gathered, width)
            gathered, rows = [], 0
    yield from _parts(gathered, width)


def _parts(gathered: Sequence[Bytes], width: int) -> Iterator[Floats]:
    data = gathered[0] if len(gathered) == 1 else b"".join(gathered)
    matrix = np.frombuffer(data, dtype="<f8").reshape(-1, width)
    for start in range(0, len(matrix), TRANSPOSED):
        yield matrix[start : start + TRANSPOSED]


def _output(chunks: Sequence[Chunk], position: int, kind: ValueKind) -> Array:
    parts = [None if chunk.outputs is None else chunk.outputs[position] for chunk in chunks]
    if kind == "text":
        return _texts(parts, chunks)
    if kind == "vector":
        return _vectors(parts, np.array([chunk.rows for chunk in chunks]))
    return _numbers(parts, chunks)


Part = Bytes | list[Any] | None
"""What a chunk says of a column: None where it has no values."""


def _texts(parts: Sequence[Part], chunks: Sequence[Chunk]) -> Array:
    lists = [_or_missing(part, chunk) for part, chunk in zip(parts, chunks, strict=True)]
    return pa.array(_chained(lists), type=pa.string())


def _numbers(parts: Sequence[Part], chunks: Sequence[Chunk]) -> Array:
    """Numbers become float64 whatever they were, because monitors compare them as such."""
    pairs = zip(parts, chunks, strict=True)
    packed = [part if isinstance(part, PACKED) else _packed(part, chunk) for part, chunk in pairs]
    return _floats(np.frombuffer(b"".join(packed), dtype="<f8"))


def _floats(values: Floats) -> Array:
    """NaN becomes null; to look for it where there is none takes Arrow ten times as long."""
    numbers: Array = pa.array(values, from_pandas=bool(np.isnan(values).any()))
    return numbers


def _packed(part: list[Any] | None, chunk: Chunk) -> bytes:
    return np.array(_or_missing(part, chunk), dtype="<f8").tobytes()


def _vectors(parts: Sequence[Part], rows: NDArray[np.int64]) -> Array:
    """A list of numbers a row; null where there was no value."""
    held = [_bytes(part, b"") for part in parts]
    widths = np.array([len(data) // 8 for data in held]) // rows
    missing = np.repeat(np.array([part is None for part in parts]), rows)
    offsets = np.concatenate([[0], np.cumsum(np.repeat(widths, rows))])
    mask = np.concatenate([missing, [False]])
    values = pa.array(np.frombuffer(b"".join(held), dtype="<f8"))
    starts = pa.array(offsets, type=pa.int32(), mask=mask)
    lists: Array = pa.ListArray.from_arrays(starts, values)
    return lists


def _bytes(part: Part, otherwise: bytes) -> Bytes:
    return part if isinstance(part, PACKED) else otherwise


def _or_missing(part: Part, chunk: Chunk) -> list[Any]:
    return part if isinstance(part, list) else [None] * chunk.rows


def _chained(lists: Sequence[list[Any]]) -> list[Any]:
    return lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))
