"""The values of a JSON request: tensors to checked columns or one matrix, without I/O.

The common request costs one typed decode per tensor; whatever that refuses is looked at again,
slowly, to accept what is only unusual (nested data, 1.0 for an integer) and to say exactly what
is wrong with the rest.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from trimtab.gateway.asked import plain, some, unknown
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.oip import InputTensor
from trimtab.gateway.plan import FLOAT_LIMITS, INTEGER_RANGES, ColumnPlan, Plan, family
from trimtab.gateway.values import Inputs, fits, inputs_of_columns, packed
from trimtab.ports.logsink import Texts

_DATATYPES = frozenset(INTEGER_RANGES) | {"BOOL", "FP16", "FP32", "FP64", "BYTES"}

_decode_any = msgspec.json.Decoder().decode
_decode_floats = msgspec.json.Decoder(list[float | None]).decode


def inputs_of(tensors: list[InputTensor], plan: Plan, key: str | None) -> Inputs:
    """The values of a request as the plan wants them; raises a 400 `Fault`.

    `key` names the business-key column, which is accepted, as text, even if it is no input.
    """
    if not tensors:
        raise bad("inputs is empty")
    if plan.plain and len(tensors) == 1 and (quick := _plain_matrix(tensors[0], plan)):
        return quick
    keys, tensors = _split_key(tensors, plan, key)
    if len(tensors) == 1 and _is_matrix(tensors[0], plan):
        inputs = _matrix(tensors[0], plan, keys)
    else:
        inputs = inputs_of_columns(plan, *_named(tensors, plan), keys)
    if keys is not None and len(keys) != inputs.rows:
        raise bad(f"input {key!r} has {len(keys)} rows, the others have {inputs.rows}")
    return inputs


def _plain_matrix(tensor: InputTensor, plan: Plan) -> Inputs | None:
    """The most common request, without a detour; None where anything is unusual."""
    shape = tensor.shape
    if len(shape) != 2 or shape[1] != len(plan.columns) or tensor.datatype != "FP64":
        return None
    if tensor.name in plan.by_name and shape[1] == 1:
        return None
    try:
        flat = _decode_floats(tensor.data)
        if len(flat) == shape[0] * shape[1] and flat and None not in flat:
            return Inputs(shape[0], packed(flat), None, None)
    except (ValueError, RecursionError):
        pass
    return None


def _split_key(
    tensors: list[InputTensor], plan: Plan, key: str | None
) -> tuple[Texts | None, list[InputTensor]]:
    if key is None or key in plan.by_name:
        return None, tensors
    mine = [tensor for tensor in tensors if tensor.name == key]
    if not mine:
        return None, tensors
    if len(mine) > 1:
        raise bad(f"input {key!r} is given twice")
    rows = _rows(mine[0])
    values = _flat(mine[0], rows)
    if any(isinstance(value, dict) for value in values):
        raise bad(f"input {key!r} must hold texts or numbers")
    texts = [v if v is None or isinstance(v, str) else plain(v) for v in values]
    return texts, [tensor for tensor in tensors if tensor.name != key]


def _named(tensors: list[InputTensor], plan: Plan) -> tuple[int, list[list[Any]]]:
    columns: list[Any] = [None] * len(plan.columns)
    rows = -1
    for tensor in tensors:
        column = plan.by_name.get(tensor.name)
        if column is None:
            raise unknown("input", tensor.name, plan.by_name)
        if columns[column.position] is not None:
            raise bad(f"input {tensor.name!r} is given twice")
        own_rows = _rows(tensor)
        if rows not in (-1, own_rows):
            raise bad(f"input {tensor.name!r} has {own_rows} rows, {tensors[0].name!r} has {rows}")
        rows = own_rows
        columns[column.position] = _values(tensor, column, rows)
    if len(tensors) < len(columns):
        missing = [c.name for c in plan.columns if columns[c.position] is None]
        raise bad(f"missing input {', '.join(map(repr, missing[:5]))}")
    return rows, columns


def _rows(tensor: InputTensor) -> int:
    """Rows of a column tensor: its shape is [rows] or [rows, 1]."""
    shape = tensor.shape
    if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
        raise bad(f"input {tensor.name!r} has shape {_shown(shape)}, a column has [rows]")
    if shape[0] <= 0:
        raise bad(f"input {tensor.name!r} has {shape[0]} rows; at least one is needed")
    return shape[0]


def _shown(shape: list[int]) -> str:
    return str(shape) if len(shape) <= 8 else f"of {len(shape)} dimensions"


def _values(tensor: InputTensor, column: ColumnPlan, rows: int) -> list[Any]:
    """The values of one column, checked; every value None or of the column's kind."""
    if tensor.datatype != column.wire:
        _check_datatype(tensor, column)
    try:
        values: list[Any] = column.decode(tensor.data)
    except (ValueError, RecursionError):
        values = _careful(tensor, column, rows)
    if len(values) != rows:
        raise _count(tensor, len(values))
    if not column.nullable and None in values:
        raise bad(f"input {column.name!r} row {values.index(None)}: null, but it is not nullable")
    if column.wire == "UINT64":
        _check_uint64(column, values)
    return values


def _check_datatype(tensor: InputTensor, column: ColumnPlan) -> None:
    given = tensor.datatype
    if given not in _DATATYPES:
        raise bad(f"input {tensor.name!r} has the unknown datatype {given[:20]!r}")
    if given == "FP16":
        raise bad(f"input {tensor.name!r}: FP16 cannot travel as JSON; send FP32 or FP64")
    wanted = column.family
    if family(given) != wanted and {family(given), wanted} != {"integer", "float"}:
        raise bad(f"input {tensor.name!r} has datatype {given}, the release takes {column.wire}")


def _count(tensor: InputTensor, count: int) -> Fault:
    return bad(
        f"input {tensor.name!r} has {count} elements, its shape {_shown(tensor.shape)} "
        f"needs {math.prod(tensor.shape)}"
    )


def _check_uint64(column: ColumnPlan, values: list[Any]) -> None:
    for row, value in enumerate(values):
        if value is not None and value >= 2**64:
            raise bad(f"input {column.name!r} row {row}: {value} does not fit UINT64")


def _careful(tensor: InputTensor, column: ColumnPlan, rows: int) -> list[Any]:
    return [
        None if value is None else _converted(value, column, row)
        for row, value in enumerate(_flat(tensor, rows))
    ]


def _flat(tensor: InputTensor, rows: int) -> list[Any]:
    """The data of a column as a flat list of `rows` values, decoded without regard to type."""
    values = _decoded(tensor)
    if len(tensor.shape) == 2 and any(isinstance(value, list) for value in values):
        values = _unnested(tensor, values, 1)
    if len(values) != rows:
        raise _count(tensor, len(values))
    for row, value in enumerate(values):
        if isinstance(value, list):
            raise bad(f"input {tensor.name!r} row {row} is a list; its shape says a single value")
    return values


def _decoded(tensor: InputTensor) -> list[Any]:
    if not bytes(tensor.data):
        raise bad(f"input {tensor.name!r} has no data (binary tensor data is not supported here)")
    try:
        values = _decode_any(tensor.data)
    except (ValueError, RecursionError) as error:
        raise bad(f"input {tensor.name!r}: {error}") from None
    if not isinstance(values, list):
        raise bad(f"input {tensor.name!r}: data must be a list")
    return values


def _unnested(tensor: InputTensor, values: list[Any], width: int) -> list[Any]:
    for row, value in enumerate(values):
        if not isinstance(value, list) or len(value) != width:
            raise bad(f"input {tensor.name!r} row {row} is not a list of {width} values")
    return [element for value in values for element in value]


def _converted(value: Any, column: ColumnPlan, row: int) -> Any:
    """`value` as the column's kind, or a 400 that names column, row, value and datatype."""
    kind = column.family
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in ("integer", "float") and type(value) in (int, float):
        number = _number(value, column)
        if number is not None:
            return number
    raise bad(f"input {column.name!r} row {row}: {_brief(value)} is not a value of {column.wire}")


def _number(value: float, column: ColumnPlan) -> float | None:
    if column.family == "float":
        limit = FLOAT_LIMITS.get(column.wire, sys.float_info.max)
        return float(value) if -limit <= value <= limit else None
    low, high = INTEGER_RANGES[column.wire]
    whole = int(value) if value == math.floor(value) else None
    return whole if whole is not None and low <= whole <= high else None


def _brief(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _is_matrix(tensor: InputTensor, plan: Plan) -> bool:
    shape = tensor.shape
    return len(shape) == 2 and (tensor.name not in plan.by_name or shape[1] > 1)


def _matrix(tensor: InputTensor, plan: Plan, keys: Texts | None) -> Inputs:
    rows, width = _matrix_shape(tensor, plan)
    flat, typed = _matrix_values(tensor, width)
    if len(flat) != rows * width:
        raise _count(tensor, len(flat))
    if typed and plan.matrix:
        matrix = np.array(flat, dtype=np.float64).reshape(rows, width)
        if fits(plan, matrix):
            return Inputs(rows, matrix.tobytes(), None, keys)
    columns = [_matrix_column(flat[column.position :: width], column) for column in plan.columns]
    return inputs_of_columns(plan, rows, columns, keys)


def _matrix_shape(tensor: InputTensor, plan: Plan) -> tuple[int, int]:
    rows, width = tensor.shape
    if not plan.matrix_capable:
        if len(plan.columns) == 1 or width == 1:
            raise unknown("input", tensor.name, plan.by_name)
        raise bad("a matrix needs every input to be numeric; send one named tensor per column")
    if tensor.datatype in ("BYTES", "FP16") or tensor.datatype not in _DATATYPES:
        raise bad(f"input {tensor.name!r} has datatype {tensor.datatype[:20]}; a matrix is FP64")
    if width != len(plan.columns):
        taken = f"{len(plan.columns)}: {some(plan.by_name)}"
        raise bad(f"input {tensor.name!r} has {width} columns, the release takes {taken}")
    if rows <= 0:
        raise bad(f"input {tensor.name!r} has {rows} rows; at least one is needed")
    return rows, width


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
    converted: list[Any] = []
    for row, value in enumerate(values):
        if value is None:
            if not column.nullable:
                raise bad(f"input {column.name!r} row {row}: null, but it is not nullable")
            converted.append(None)
        elif column.family == "bool" and value in (0, 1) and not isinstance(value, str):
            converted.append(bool(value))
        else:
            converted.append(_converted(value, column, row))
    return converted
