"""The values of a JSON request: tensors to checked columns or one matrix, without I/O.

The common request costs one typed decode of all its values; whatever that refuses is looked at
again, slowly, to accept what is only unusual (nested data, 1.0 for an integer) and to say exactly
what is wrong with the rest.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.gateway.asked import plain
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.nested import converted, rows_of_lists
from trimtab.gateway.number_arrays import packed_numbers
from trimtab.gateway.oip import InputTensor, not_json
from trimtab.gateway.plan import ColumnPlan, Plan
from trimtab.gateway.tensors import (
    check_datatype,
    inputs_of,
    matrix_shape,
    miscounted,
    missing,
)
from trimtab.gateway.values import Inputs, fits, inputs_of_columns
from trimtab.ports.logsink import Texts

_decode_any = msgspec.json.Decoder().decode
_decode_floats = msgspec.json.Decoder(list[float | None]).decode


class JsonReader:
    """`Reader` of tensors whose data is JSON."""

    def values(self, tensor: InputTensor, column: ColumnPlan, rows: int) -> list[Any]:
        """The values of one column, checked; every value None or of the column's kind."""
        if tensor.datatype != column.wire:
            _check_datatype(tensor, column)
        try:
            values: list[Any] = column.decode(tensor.data)
        except (ValueError, RecursionError):
            values = _careful(tensor, column, rows)
        if len(values) != rows:
            raise miscounted(tensor, len(values))
        if not column.nullable and None in values:
            raise missing(column, values.index(None))
        if column.wire == "UINT64":
            _check_uint64(column, values)
        return values

    def rows(self, tensor: InputTensor, column: ColumnPlan, rows: int) -> NDArray[Any]:
        """[rows, values of a row] of an input with a shape per row, from flat or nested data."""
        if tensor.datatype != column.wire:
            _check_datatype(tensor, column)
        try:
            values: list[Any] = column.decode(tensor.data)
        except (ValueError, RecursionError):
            values = _decoded(tensor)
        return rows_of_lists(values, column, rows)

    def texts(self, tensor: InputTensor, rows: int) -> Texts:
        """The values of a business key, as texts."""
        values = _flat(tensor, rows)
        if any(isinstance(value, dict) for value in values):
            raise bad(f"input {tensor.name!r} must hold texts or numbers")
        return [v if v is None or isinstance(v, str) else plain(v) for v in values]

    def matrix(self, tensor: InputTensor, plan: Plan, keys: Texts | None) -> Inputs:
        """All columns from one tensor of rank 2."""
        rows, width = matrix_shape(tensor, plan)
        if tensor.datatype == "FP16":
            raise _half(tensor)
        flat, typed = _matrix_values(tensor, width)
        if len(flat) != rows * width:
            raise miscounted(tensor, len(flat))
        if typed and plan.matrix:
            matrix = np.array(flat, dtype=np.float64).reshape(rows, width)
            if fits(plan, matrix):
                return Inputs(rows, matrix.tobytes(), None, keys)
        columns = [_matrix_column(flat[c.position :: width], c) for c in plan.columns]
        return inputs_of_columns(plan, rows, columns, keys)


JSON = JsonReader()

_ONE_VALUE: tuple[list[int], ...] = ([], [1])
"""What follows the rows in the shape of a column."""


def inputs_of_json(tensors: list[InputTensor], plan: Plan, key: str | None) -> Inputs:
    """The values of a request as the plan wants them; raises a 400 `Fault`."""
    if tensors:
        matrix = is_plain(tensors, plan)
        quick = _plain_matrix(tensors[0]) if matrix else _plain_columns(tensors, plan)
        if quick is not None:
            return quick
    return inputs_of(tensors, JSON, plan, key)


def is_plain(tensors: Sequence[InputTensor], plan: Plan) -> bool:
    """Whether a request is one matrix of the very type that the release takes."""
    tensor, width = tensors[0], len(plan.columns)
    if not plan.plain or len(tensors) != 1 or tensor.datatype != "FP64":
        return False
    fitting = tensor.shape[1:] == [width]
    return fitting and (width > 1 or tensor.name not in plan.by_name)


def _plain_matrix(tensor: InputTensor) -> Inputs | None:
    """The most common request, without a detour; None where anything is unusual."""
    try:
        matrix = packed_numbers(tensor.data)
    except (ValueError, RecursionError):
        return None
    rows, width = tensor.shape
    if len(matrix) != 8 * rows * width or not matrix:
        return None
    return Inputs(rows, matrix, None, None)


def _plain_columns(tensors: list[InputTensor], plan: Plan) -> Inputs | None:
    """One tensor for each column, all read at once; None where anything is unusual."""
    at_once = plan.at_once
    if at_once is None or len(tensors) != len(plan.columns):
        return None
    by_name = {tensor.name: tensor for tensor in tensors}
    try:
        tensors = [by_name[name] for name in at_once.names]
    except KeyError:
        return None
    shapes = [tensor.shape for tensor in tensors]
    shape = shapes[0]
    if not shape or shape[1:] not in _ONE_VALUE or shapes.count(shape) != len(shapes):
        return None
    if [tensor.datatype for tensor in tensors] != at_once.wires:
        for tensor, column in zip(tensors, plan.columns, strict=True):
            _check_datatype(tensor, column)
    try:
        columns = at_once.decode(b"[%b]" % b",".join([tensor.data for tensor in tensors]))
    except (ValueError, RecursionError):
        return None
    rows = shape[0]
    if not rows or set(map(len, columns)) != {rows}:
        return None
    return inputs_of_columns(plan, rows, list(columns), None)


def _check_datatype(tensor: InputTensor, column: ColumnPlan) -> None:
    if tensor.datatype == "FP16":
        raise _half(tensor)
    check_datatype(tensor, column)


def _half(tensor: InputTensor) -> Fault:
    return bad(f"input {tensor.name!r}: FP16 cannot travel as JSON; send FP32 or FP64")


def _check_uint64(column: ColumnPlan, values: list[Any]) -> None:
    for row, value in enumerate(values):
        if value is not None and value >= 2**64:
            raise bad(f"input {column.name!r} row {row}: {value} does not fit UINT64")


def _careful(tensor: InputTensor, column: ColumnPlan, rows: int) -> list[Any]:
    return [
        None if value is None else converted(value, column, row)
        for row, value in enumerate(_flat(tensor, rows))
    ]


def _flat(tensor: InputTensor, rows: int) -> list[Any]:
    """The data of a column as a flat list of `rows` values, decoded without regard to type."""
    values = _decoded(tensor)
    if len(tensor.shape) == 2 and any(isinstance(value, list) for value in values):
        values = _unnested(tensor, values, 1)
    if len(values) != rows:
        raise miscounted(tensor, len(values))
    for row, value in enumerate(values):
        if isinstance(value, list):
            raise bad(f"input {tensor.name!r} row {row} is a list; its shape says a single value")
    return values


def no_data(tensor: InputTensor) -> Fault:
    """The refusal of a tensor without data in JSON."""
    return bad(f"input {tensor.name!r} has no data; bytes need Inference-Header-Content-Length")


def _decoded(tensor: InputTensor) -> list[Any]:
    if not bytes(tensor.data):
        raise no_data(tensor)
    try:
        values = _decode_any(tensor.data)
    except (ValueError, RecursionError) as error:
        why = not_json(error, bytes(tensor.data))
        raise bad(f"input {tensor.name!r}: its data is not JSON: {why}") from None
    if not isinstance(values, list):
        raise bad(f"input {tensor.name!r}: data must be a list")
    return values


def _unnested(tensor: InputTensor, values: list[Any], width: int) -> list[Any]:
    for row, value in enumerate(values):
        if not isinstance(value, list) or len(value) != width:
            raise bad(f"input {tensor.name!r} row {row} is not a list of {width} values")
    return [element for value in values for element in value]


def _matrix_values(tensor: InputTensor, width: int) -> tuple[list[Any], bool]:
    """The values row by row, and whether all are known to be floats or None."""
    try:
        return _decode_floats(tensor.data), True
    except (ValueError, RecursionError):
        return _matrix_careful(tensor, width), False


def _matrix_careful(tensor: InputTensor, width: int) -> list[Any]:
    values = _decoded(tensor)
    if values and isinstance(values[0], list):
        return _unnested(tensor, values, width)
    return values


def _matrix_column(values: Sequence[Any], column: ColumnPlan) -> list[Any]:
    """A column of a matrix: 0 and 1 stand for a boolean, because a matrix has one datatype."""
    taken: list[Any] = []
    for row, value in enumerate(values):
        if value is None:
            if not column.nullable:
                raise missing(column, row)
            taken.append(None)
        elif column.family == "bool" and value in (0, 1) and not isinstance(value, str):
            taken.append(bool(value))
        else:
            taken.append(converted(value, column, row))
    return taken
