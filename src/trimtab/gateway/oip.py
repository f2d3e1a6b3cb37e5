"""Inference requests of the Open Inference Protocol: bytes to columns of values, without I/O.

The common request costs one typed decode per column; whatever that refuses is looked at again,
slowly, to accept what is only unusual (nested data, 1.0 for an integer) and to say exactly what
is wrong with the rest.
"""

import difflib
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.plan import FLOAT_LIMITS, INTEGER_RANGES, ColumnPlan, Plan, family

MAX_ID = 256
"""Characters of a request id."""

_EMPTY = msgspec.Raw(b"")
_DATATYPES = frozenset(INTEGER_RANGES) | {"BOOL", "FP16", "FP32", "FP64", "BYTES"}

Parameter = str | bool | int | float


class InputTensor(msgspec.Struct, frozen=True, gc=False):
    """One entry of `inputs`; `data` stays undecoded until its column is known."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = _EMPTY
    parameters: dict[str, Parameter] | None = None


class WantedOutput(msgspec.Struct, frozen=True, gc=False):
    """One entry of `outputs`."""

    name: str
    parameters: dict[str, Parameter] | None = None


class Body(msgspec.Struct, frozen=True, gc=False):
    """The body of an inference request."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Parameter] | None = None
    outputs: list[WantedOutput] | None = None


class Inputs:
    """The values of a request: one list per column of the plan, and the business key if sent."""

    __slots__ = ("columns", "key", "rows")

    def __init__(self, rows: int, columns: list[list[Any]], key: list[str | None] | None) -> None:
        self.rows = rows
        self.columns = columns
        self.key = key


class Asked:
    """What the parameters of a request say; None where they say nothing."""

    __slots__ = ("event_time", "lane", "timeout", "unit")

    def __init__(self) -> None:
        self.event_time: float | None = None
        self.unit: str | None = None
        self.lane = "realtime"
        self.timeout: float | None = None


_decode_body = msgspec.json.Decoder(Body).decode
_decode_any = msgspec.json.Decoder().decode
_decode_floats = msgspec.json.Decoder(list[float | None]).decode
_NOTHING_ASKED = Asked()


def parse_body(data: bytes) -> Body:
    """The body as declared by the protocol; raises a 400 `Fault` that names what is wrong."""
    try:
        body = _decode_body(data)
    except msgspec.ValidationError as error:
        raise bad(f"not an inference request: {error}") from None
    except (ValueError, RecursionError) as error:
        raise bad(_not_json(error, data)) from None
    if body.id is not None and len(body.id) > MAX_ID:
        raise bad(f"the id is longer than {MAX_ID} characters")
    return body


def _not_json(error: Exception, data: bytes) -> str:
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    words = " (NaN and Infinity are not JSON; send null)"
    hint = words if b"NaN" in data or b"Infinity" in data else ""
    return f"the body is not JSON: {error}{hint}"


def asked(body: Body) -> Asked:
    """The parameters of the request; raises a 400 `Fault`. Unknown parameters are ignored."""
    parameters = body.parameters
    if not parameters:
        return _NOTHING_ASKED
    found = Asked()
    if (event_time := parameters.get("event_time")) is not None:
        found.event_time = epoch_seconds(event_time, "parameters.event_time")
    if (unit := parameters.get("unit")) is not None:
        found.unit = unit if isinstance(unit, str) else _plain(unit)
    if _whole("priority", parameters.get("priority", 0)) > 1:
        found.lane = "batch"
    if timeout := _whole("timeout", parameters.get("timeout", 0)):
        found.timeout = timeout / 1e6
    return found


def epoch_seconds(value: Parameter, what: str) -> float:
    """An RFC 3339 time as epoch seconds; raises a 400 `Fault` that names `what`."""
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        pass
    raise bad(f"{what} is {value!r}, not an RFC 3339 time such as 2013-04-01T12:00:00Z")


def _plain(value: Parameter) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _whole(name: str, value: Parameter) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad(f"parameters.{name} is {value!r}, not a whole number from 0")
    return value


def wanted_outputs(body: Body, plan: Plan) -> tuple[int, ...] | None:
    """Positions of the outputs that the request lists, None for all; raises a 400 `Fault`."""
    if not body.outputs:
        return None
    positions: list[int] = []
    for output in body.outputs:
        position = plan.output_index.get(output.name)
        if position is None:
            raise bad(_unknown("output", output.name, plan.output_index))
        if position in positions:
            raise bad(f"output {output.name!r} is asked for twice")
        positions.append(position)
    return tuple(positions)


def columns_of(body: Body, plan: Plan, key: str | None) -> Inputs:
    """The values of a request in the plan's order of columns; raises a 400 `Fault`.

    `key` names the business-key column, which is accepted, as text, even if it is no input.
    """
    tensors = body.inputs
    if not tensors:
        raise bad("inputs is empty")
    keys, tensors = _split_key(tensors, plan, key)
    if len(tensors) == 1 and _is_matrix(tensors[0], plan):
        rows, columns = _matrix(tensors[0], plan)
    else:
        rows, columns = _named(tensors, plan)
    if keys is not None and len(keys) != rows:
        raise bad(f"input {key!r} has {len(keys)} rows, the others have {rows}")
    return Inputs(rows, columns, keys)


def _split_key(
    tensors: list[InputTensor], plan: Plan, key: str | None
) -> tuple[list[str | None] | None, list[InputTensor]]:
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
    texts = [v if v is None or isinstance(v, str) else _plain(v) for v in values]
    return texts, [tensor for tensor in tensors if tensor.name != key]


def _named(tensors: list[InputTensor], plan: Plan) -> tuple[int, list[list[Any]]]:
    columns: list[Any] = [None] * len(plan.columns)
    rows = -1
    for tensor in tensors:
        column = plan.by_name.get(tensor.name)
        if column is None:
            raise bad(_unknown("input", tensor.name, plan.by_name))
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


def _unknown(what: str, name: str, known: Any) -> str:
    close = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; it has {_some(known)}"
    return f"unknown {what} {name[:100]!r}{hint}"


def _some(names: Any) -> str:
    shown = [repr(name) for name in names]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


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


def _matrix(tensor: InputTensor, plan: Plan) -> tuple[int, list[list[Any]]]:
    rows, width = tensor.shape
    if not plan.signature.matrix_capable:
        if len(plan.columns) == 1 or width == 1:
            raise bad(_unknown("input", tensor.name, plan.by_name))
        raise bad("a matrix needs every input to be numeric; send one named tensor per column")
    if tensor.datatype in ("BYTES", "FP16") or tensor.datatype not in _DATATYPES:
        raise bad(f"input {tensor.name!r} has datatype {tensor.datatype[:20]}; a matrix is FP64")
    if width != len(plan.columns):
        raise bad(f"input {tensor.name!r} has {width} columns, the release takes {_taken(plan)}")
    if rows <= 0:
        raise bad(f"input {tensor.name!r} has {rows} rows; at least one is needed")
    flat, typed = _matrix_values(tensor, width)
    if len(flat) != rows * width:
        raise _count(tensor, len(flat))
    columns = [flat[position::width] for position in range(width)]
    for column in plan.columns:
        values = columns[column.position]
        if not typed or column.wire != "FP64" or not (column.nullable or None not in values):
            columns[column.position] = _matrix_column(values, column)
    return rows, columns


def _taken(plan: Plan) -> str:
    return f"{len(plan.columns)}: {_some(plan.by_name)}"


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
