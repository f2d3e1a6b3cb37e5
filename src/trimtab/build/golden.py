"""The golden set: which rows it holds, and the tolerance that their outputs may differ by."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.signature import Column, Datatype
from trimtab.stats.moments import moments
from trimtab.worker import frames, tensors

MOST_ROWS = 256
LEAST_ROWS = 8
MOST_BYTES = 16 * 1024 * 1024
"""Of the tensors in a golden set, which every worker reads when it starts."""
SAFETY = 10.0
"""The tolerance is the largest spread seen under perturbation, times this."""

Columns = Mapping[str, NDArray[Any]]


def golden_rows(columns: Sequence[Column], inputs: Columns, rows: int) -> NDArray[np.int64]:
    """Positions of the golden rows: extremes, missing values and rare categories, then an even
    spread over the reference until `MOST_ROWS`, or fewer where rows are large."""
    chosen: dict[int, None] = {}
    for column in columns:
        for position in _remarkable(column, inputs[column.name]):
            chosen.setdefault(position)
    most = _most_rows(columns)
    special = list(chosen)[: most // 2]
    spread = np.linspace(0, rows - 1, min(rows, most - len(special))).round().astype(np.int64)
    return np.unique(np.concatenate([np.array(special, dtype=np.int64), spread]))


def _most_rows(columns: Sequence[Column]) -> int:
    size = sum(frames.ITEM_SIZES[c.datatype] * c.width for c in columns if c.shape)
    return MOST_ROWS if size * MOST_ROWS <= MOST_BYTES else max(LEAST_ROWS, MOST_BYTES // size)


def _remarkable(column: Column, values: NDArray[Any]) -> list[int]:
    if column.shape:
        values, _ = moments(values.reshape(len(values), -1))
    if column.datatype is Datatype.BYTES:
        firsts = {value: index for index, value in reversed(list(enumerate(values)))}
        return [
            firsts[value] for value in (None, *reversed(column.categories or ())) if value in firsts
        ]
    missing = [int(position) for position in np.flatnonzero(np.isnan(values))[:1]]
    if np.isnan(values).all():
        return missing
    return [*missing, int(np.nanargmin(values)), int(np.nanargmax(values))]


def input_tensors(
    columns: Sequence[Column], inputs: Columns, positions: NDArray[np.int64] | slice
) -> list[frames.Tensor]:
    """The rows at `positions` as tensors of docs/wire.md, one per column."""
    made = []
    for column in columns:
        values = inputs[column.name][positions]
        shape = (len(values),)
        if column.shape:
            made.append(tensors.tensor_of(column.name, values, column.datatype))
        elif column.datatype is Datatype.BYTES:
            made.append(frames.Tensor(column.name, "BYTES", shape, frames.encode_texts(values)))
        else:
            data = np.ascontiguousarray(values, dtype="<f8").tobytes()
            made.append(frames.Tensor(column.name, "FP64", shape, data))
    return made


def largest_difference(one: Columns, other: Columns, ignored: Collection[str] = ()) -> float:
    """Largest absolute difference between two sets of outputs; infinite when texts differ."""
    gaps = (_gap(values, other[name]) for name, values in one.items() if name not in ignored)
    return max(gaps, default=0.0)


def _gap(one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.dtype == object:
        return 0.0 if bool((one == other).all()) else float("inf")
    gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))
