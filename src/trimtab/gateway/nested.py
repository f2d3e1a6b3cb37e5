"""Values in lists, flat or nested, as what an input takes: one by one, or all of a tensor's."""

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.gateway.faults import bad
from trimtab.gateway.plan import FLOAT_LIMITS, INTEGER_RANGES, ColumnPlan
from trimtab.gateway.raw_inputs import rows_of_numbers
from trimtab.gateway.tensors import misfit, missing

_ABSENT = type(None)


def converted(value: Any, column: ColumnPlan, row: int) -> Any:
    """`value` as the column's kind; raises a 400 `Fault` that names column, row and datatype."""
    kind = column.family
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in ("integer", "float") and type(value) in (int, float):
        number = _number(value, column)
        if number is not None:
            return number
    raise misfit(column, row, value)


def _number(value: float, column: ColumnPlan) -> float | None:
    if column.family == "float":
        limit = FLOAT_LIMITS.get(column.wire, sys.float_info.max)
        return float(value) if -limit <= value <= limit else None
    low, high = INTEGER_RANGES[column.wire]
    whole = int(value) if value == math.floor(value) else None
    return whole if whole is not None and low <= whole <= high else None


def rows_of_lists(values: list[Any], column: ColumnPlan, rows: int, first: int = 0) -> NDArray[Any]:
    """[rows, values of a row] of an input with a shape per row, from lists that are flat or nested
    as its shape is; raises a 400 `Fault` that counts rows from `first`."""
    flat = _flattened(values, column, first)
    if len(flat) != rows * column.width:
        raise bad(
            f"input {column.name!r} has {len(flat)} values, "
            f"{rows} rows of shape {list(column.shape)} need {rows * column.width}"
        )
    kinds = set(map(type, flat))
    if column.family == "integer" and kinds != {int}:
        flat = [
            _needed(value, column, first + place // column.width)
            for place, value in enumerate(flat)
        ]
    else:
        _check_kinds(flat, kinds, column, first)
    return rows_of_numbers(_array(flat, column), column, rows, first)


def _flattened(values: list[Any], column: ColumnPlan, first: int) -> list[Any]:
    inner = 1
    for size in column.shape:
        if not values or not isinstance(values[0], list):
            return values
        for place, value in enumerate(values):
            if not isinstance(value, list) or len(value) != size:
                shape = list(column.shape)
                row = first + place // inner
                raise bad(f"input {column.name!r} row {row} is not of shape {shape}")
        values = [element for value in values for element in value]
        inner *= size
    return values


def _needed(value: Any, column: ColumnPlan, row: int) -> Any:
    if value is None:
        raise missing(column, row)
    return converted(value, column, row)


def _check_kinds(flat: list[Any], kinds: set[type], column: ColumnPlan, first: int) -> None:
    """Raises a 400 `Fault` for the first value that is of a wrong kind."""
    wanted = {bool} if column.family == "bool" else {int, float}
    gaps = {_ABSENT} if column.nullable and column.family == "float" else set()
    if wrong := kinds - wanted - gaps:
        place = next(at for at, value in enumerate(flat) if type(value) in wrong)
        row = first + place // column.width
        _needed(flat[place], column, row)
        raise misfit(column, row, flat[place])


def _array(flat: list[Any], column: ColumnPlan) -> NDArray[Any]:
    """An array that holds the values exactly, NaN for None and infinity for what is too large."""
    if column.family == "bool":
        return np.array(flat, dtype=np.bool_)
    kind = np.uint64 if column.wire == "UINT64" else np.int64
    try:
        return np.array(flat, dtype=kind if column.family == "integer" else np.float64)
    except OverflowError:
        return np.array([_bounded(value) for value in flat])


def _bounded(value: float | None) -> float:
    if value is None:
        return math.nan
    if abs(value) <= sys.float_info.max:
        return float(value)
    return math.inf if value > 0 else -math.inf
