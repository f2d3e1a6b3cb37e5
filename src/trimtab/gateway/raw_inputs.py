"""Tensors as raw little-endian bytes: to checked columns or one matrix, without I/O.

They come in the bodies of REST's binary extension and in gRPC's `raw_input_contents`. NaN stands
for a missing number, the length 0xFFFFFFFF for a missing text. A matrix of float64 stays the bytes
that arrived.
"""

import math
from struct import unpack
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.gateway.asked import plain
from trimtab.gateway.faults import bad
from trimtab.gateway.plan import NUMPY_TYPES, ColumnPlan, Plan
from trimtab.gateway.tensors import (
    check_datatype,
    check_rows,
    matrix_shape,
    misfit,
    missing,
    shown,
)
from trimtab.gateway.values import Inputs, fits, inputs_of_columns
from trimtab.ports.logsink import Texts
from trimtab.worker.frames import ITEM_SIZES, Bytes, FrameError, decode_texts

_PYTHON: dict[str, type] = {"float": float, "integer": int, "bool": bool}
_CODES = dict(zip(NUMPY_TYPES, "?BHIQbhiqefd", strict=True))
FEW_ROWS = 16
"""Up to so many rows, values are looked at one by one: an array costs as much as twenty values."""


class RawTensor(msgspec.Struct, frozen=True, gc=False):
    """A tensor with its values as bytes: row-major, little-endian, no padding."""

    name: str
    datatype: str
    shape: list[int]
    data: Bytes


class RawReader:
    """`Reader` of tensors whose data is bytes."""

    def values(self, tensor: RawTensor, column: ColumnPlan, rows: int) -> Any:
        """The values of one column, checked; a float64 array where they will lie in a matrix."""
        check_datatype(tensor, column)
        if column.family == "text":
            texts = _texts(tensor, rows)
            if not column.nullable and None in texts:
                raise missing(column, texts.index(None))
            return texts
        if rows <= FEW_ROWS and (few := _few(tensor, column, rows)) is not None:
            return few
        with np.errstate(invalid="ignore"):  # a client may send signalling NaNs
            return numbers_of(_numbers(tensor), column)

    def rows(self, tensor: RawTensor, column: ColumnPlan, rows: int) -> NDArray[Any]:
        """[rows, values of a row] of an input with a shape per row, checked, in its datatype."""
        check_datatype(tensor, column)
        with np.errstate(invalid="ignore"):
            return rows_of_numbers(_numbers(tensor), column, rows)

    def texts(self, tensor: RawTensor, rows: int) -> Texts:
        """The values of a business key, as texts."""
        if tensor.datatype == "BYTES":
            return _texts(tensor, rows)
        if tensor.datatype not in NUMPY_TYPES:
            raise bad(f"input {tensor.name!r} has the unknown datatype {tensor.datatype[:20]!r}")
        return [None if math.isnan(v) else plain(v) for v in _numbers(tensor).tolist()]

    def matrix(self, tensor: RawTensor, plan: Plan, keys: Texts | None) -> Inputs:
        """All columns from one tensor of rank 2."""
        rows, width = matrix_shape(tensor, plan)
        given = _numbers(tensor).reshape(rows, width)
        check_rows(rows, plan.most_rows)
        with np.errstate(invalid="ignore", over="ignore"):
            if plan.matrix and given.dtype != np.bool_:
                matrix = given.astype("<f8", copy=False)
                if (plan.plain and _all_finite(matrix)) or fits(plan, matrix):
                    data = tensor.data if matrix is given else matrix.tobytes()
                    return Inputs(rows, data, None, keys)
            columns = [_matrix_column(given[:, c.position], c, tensor) for c in plan.columns]
        return inputs_of_columns(plan, rows, columns, keys)


RAW = RawReader()


def _numbers(tensor: RawTensor) -> NDArray[Any]:
    """The values in one dimension, reading the bytes where they lie."""
    kind = NUMPY_TYPES[tensor.datatype]
    count = math.prod(tensor.shape)
    if len(tensor.data) != count * kind.itemsize:
        raise bad(
            f"input {tensor.name!r} has {len(tensor.data)} bytes, {tensor.datatype} of shape "
            f"{shown(tensor.shape)} needs {count * kind.itemsize}"
        )
    values: NDArray[Any] = np.frombuffer(tensor.data, kind)
    if tensor.datatype == "BOOL" and (values.view(np.uint8) > 1).any():
        raise bad(f"input {tensor.name!r} has bytes other than 0 and 1; it is BOOL")
    return values


def _all_finite(matrix: NDArray[np.float64]) -> bool:
    """Whether no number is missing or endless, told at once: then the sum of their squares is
    neither. False also where that is too large."""
    flat = matrix.reshape(-1)
    return math.isfinite(flat.dot(flat))


def _few(tensor: RawTensor, column: ColumnPlan, rows: int) -> list[Any] | None:
    """Values of the column's own datatype that all fit; None where anything is unusual."""
    if tensor.datatype != column.wire or column.wire == "BOOL":
        return None
    if len(tensor.data) != rows * ITEM_SIZES[column.wire]:
        return None
    values = unpack(f"<{rows}{_CODES[column.wire]}", tensor.data)
    low, high = column.low, column.high
    return list(values) if all(low <= value <= high for value in values) else None


def _texts(tensor: RawTensor, rows: int) -> Texts:
    try:
        return decode_texts(tensor.data, rows)
    except FrameError as error:
        raise bad(f"input {tensor.name!r}: {error}") from None


def _matrix_column(values: NDArray[Any], column: ColumnPlan, tensor: RawTensor) -> Any:
    """A column of a matrix: 0 and 1 stand for a boolean, because a matrix has one datatype."""
    if values.dtype == np.bool_:
        check_datatype(tensor, column)
    return numbers_of(values, column)


def numbers_of(values: NDArray[Any], column: ColumnPlan, first: int = 0) -> Any:
    """An array as the values of a numeric column, NaN for missing; raises a 400 `Fault` that
    counts rows from `first`."""
    check_rows(len(values), column.most_rows)
    absent = _absent(values, column, first)
    if column.in_matrix:
        return values.astype("<f8", copy=False)
    of = _PYTHON[column.family]
    return [
        None if gone else of(value)
        for value, gone in zip(values.tolist(), absent.tolist(), strict=True)
    ]


def rows_of_numbers(
    values: NDArray[Any], column: ColumnPlan, rows: int, first: int = 0
) -> NDArray[Any]:
    """An array of all values as [rows, values of a row] of a tensor; raises a 400 `Fault`."""
    check_rows(rows, column.most_rows)
    own = NUMPY_TYPES[column.wire]
    if values.dtype != own or own.kind == "f":
        _absent(values, column, first)
    return values.astype(own, copy=False).reshape(rows, column.width)


def _absent(values: NDArray[Any], column: ColumnPlan, first: int) -> NDArray[np.bool_]:
    """Which values are missing; raises a 400 `Fault` unless the column may hold all of them."""
    absent, fitting = _judged(values, column)
    if not fitting.all():
        place = int(fitting.argmin())
        row = first + place // column.width
        raise missing(column, row) if absent[place] else misfit(column, row, values[place].item())
    return absent


def _judged(values: NDArray[Any], column: ColumnPlan) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Per value: whether it is missing, and whether the column may hold it."""
    absent = np.isnan(values)
    low, high = column.low, column.high
    if column.family == "float":
        fitting = np.abs(values.astype(np.float64)) <= high
    elif values.dtype.kind == "f":
        # The next whole number, unlike `high` itself, is exact in float64.
        values = values.astype(np.float64)
        fitting = (values >= low) & (values < float(high + 1)) & (values == np.trunc(values))
    else:
        fitting = (values >= low) & (values <= high)
    if column.nullable:
        fitting |= absent
    return absent, fitting
