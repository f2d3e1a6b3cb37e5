"""What a release's signature means for the request path, worked out once per snapshot."""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any

import msgspec
import numpy as np

from trimtab.domain.routing import Target
from trimtab.domain.signature import MOST_LOGGED, Column, Datatype, Output
from trimtab.ports.logsink import LogSchema, ValueKind

INTEGER_RANGES: dict[str, tuple[int, int]] = {
    "UINT8": (0, 2**8 - 1),
    "UINT16": (0, 2**16 - 1),
    "UINT32": (0, 2**32 - 1),
    "UINT64": (0, 2**64 - 1),
    "INT8": (-(2**7), 2**7 - 1),
    "INT16": (-(2**15), 2**15 - 1),
    "INT32": (-(2**31), 2**31 - 1),
    "INT64": (-(2**63), 2**63 - 1),
}
FLOAT_LIMITS: dict[str, float] = {"FP16": 65504.0, "FP32": 3.4028234663852886e38}
NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""How the numeric datatypes lie on the wire."""

MOST_BYTES = 128 * 1024 * 1024
"""Bytes of all inputs of a request as a worker is sent them: with them go outputs and other
requests, and a frame is bounded."""

MOST_HELD = 256 * 1024 * 1024
"""Bytes that the values of one request may hold here."""

CELL_BYTES = 64
"""About what a value in a list holds: its place, its object and its text in the body."""

PLATFORM = "trimtab_release"
"""What kind of model a release is, for clients that ask."""

_EXACT_IN_FP64 = frozenset(NUMPY_TYPES) - {"INT64", "UINT64"}


class ColumnPlan:
    """One input: how its values are decoded, checked and sent.

    `in_matrix` tells whether it lies in the one float64 matrix of all columns; numbers are from
    `low` to `high`. `shape` is the shape of a row, `()` for a column of one value a row, and
    `width` how many values that are. A request has at most `most_rows`.
    """

    __slots__ = (
        "decode",
        "family",
        "high",
        "in_matrix",
        "low",
        "most_rows",
        "name",
        "nullable",
        "position",
        "shape",
        "width",
        "wire",
    )

    def __init__(self, column: Column, position: int, *, in_matrix: bool) -> None:
        self.in_matrix = in_matrix
        self.most_rows = 0
        self.name = column.name
        self.position = position
        self.nullable = column.nullable
        self.shape = column.shape
        self.width = column.width
        self.wire = str(column.datatype)
        self.family = family(self.wire)
        self.low, self.high = _limits(self.wire)
        self.decode = _decoder(self.wire)


class AtOnce:
    """All columns of a release, whose values are decoded together from `[[…], […], …]`.

    `names` and `wires` are theirs, in the signature's order. What is null in a column that may not
    be is refused, as whatever is no plain value of its datatype.
    """

    __slots__ = ("decode", "names", "wires")

    def __init__(self, columns: Sequence[ColumnPlan]) -> None:
        self.names = [column.name for column in columns]
        self.wires = [column.wire for column in columns]
        each = [_elements(column.wire, nullable=column.nullable) for column in columns]
        self.decode: Callable[[bytes], tuple[list[Any], ...]] = msgspec.json.Decoder(
            tuple[tuple(each)]  # type: ignore[misc]
        ).decode

    @classmethod
    def of(cls, columns: Sequence[ColumnPlan]) -> "AtOnce | None":
        """None where values of a column are more than decoded: tensors, and numbers that msgspec
        cannot bound."""
        plain = all(not column.shape and column.wire != "UINT64" for column in columns)
        return cls(columns) if plain else None


class OutputPlan:
    """One output: how many numbers a row has, and whether it is logged as a vector."""

    __slots__ = ("datatype", "kind", "name", "shape", "width")

    def __init__(self, output: Output) -> None:
        self.name = output.name
        self.datatype = str(output.datatype)
        self.shape = output.shape
        self.width = int(np.prod(output.shape, dtype=np.int64))
        self.kind: ValueKind = _kind(output.datatype, output.shape)


class Bounds:
    """What a float64 matrix of all columns may hold, as arrays with one entry per column."""

    __slots__ = ("high", "low", "nullable", "whole")

    def __init__(self, columns: tuple[ColumnPlan, ...]) -> None:
        self.low = np.array([float(column.low) for column in columns])
        self.high = np.array([float(column.high) for column in columns])
        self.nullable = np.array([column.nullable for column in columns], dtype=bool)
        self.whole = np.array([column.family != "float" for column in columns], dtype=bool)


class Plan:
    """Everything the request path needs to know of a release; never changes.

    `matrix` tells whether all columns are exact in float64, and so travel and are logged as one
    matrix; `matrix_capable` whether clients may send one; `plain` whether each column is FP64, and
    so holds whatever number comes. `tensors` are the positions of the inputs with a shape per row.
    A row is about `row_bytes` bytes, texts aside. `at_once` reads the columns of a request that
    names them all. `headers` are the lines of every answer, up to the request's id, and
    `json_headers` those of one in JSON.
    """

    __slots__ = (
        "at_once",
        "bounds",
        "by_name",
        "columns",
        "headers",
        "json_headers",
        "matrix",
        "matrix_capable",
        "most_rows",
        "name",
        "number",
        "output_index",
        "outputs",
        "plain",
        "release",
        "row_bytes",
        "same_inputs",
        "signature",
        "tensors",
        "version",
    )

    def __init__(self, target: Target) -> None:
        signature = target.signature
        self.release = str(target.release)
        self.name = target.name
        self.number = target.number
        self.version = str(target.number)
        self.signature = signature
        self.matrix = all(c.datatype in _EXACT_IN_FP64 and not c.shape for c in signature.inputs)
        self.columns = tuple(
            ColumnPlan(c, i, in_matrix=self.matrix) for i, c in enumerate(signature.inputs)
        )
        self.by_name = {column.name: column for column in self.columns}
        self.at_once = AtOnce.of(self.columns)
        self.outputs = tuple(OutputPlan(output) for output in signature.outputs)
        self.output_index = {output.name: i for i, output in enumerate(self.outputs)}
        self.matrix_capable = signature.matrix_capable
        self.plain = self.matrix and all(column.wire == "FP64" for column in self.columns)
        self.tensors = tuple(column.position for column in self.columns if column.shape)
        self.row_bytes = sum(map(_row_bytes, self.columns)) or 1
        held = self.row_bytes if self.matrix else sum(map(_held_bytes, self.columns))
        self.most_rows = max(1, min(MOST_BYTES // self.row_bytes, MOST_HELD // max(1, held)))
        for column in self.columns:
            column.most_rows = self.most_rows
        self.bounds = Bounds(self.columns)
        self.headers = b"X-Trimtab-Release: %b\r\nX-Request-Id: " % target.name.encode()
        self.json_headers = b"Content-Type: application/json\r\n" + self.headers
        self.same_inputs = tuple((c.name, c.wire, c.nullable, c.shape) for c in self.columns)

    def log_schema(self, deployment: str, key: str | None) -> LogSchema:
        """The log's columns for this release in a deployment with the business key `key`."""
        inputs = tuple(each for c in self.signature.inputs for each in _logged(c))
        outputs = tuple((output.name, output.kind) for output in self.outputs)
        own = None if key in self.by_name else key
        return LogSchema(deployment, self.release, inputs, outputs, own)


def _row_bytes(column: ColumnPlan) -> int:
    """Bytes of a row of an input: in its own datatype where it is a tensor, else in float64."""
    return NUMPY_TYPES[column.wire].itemsize * column.width if column.shape else 8


def _held_bytes(column: ColumnPlan) -> int:
    """About how much a row of an input that lies in a list or an array takes here."""
    return _row_bytes(column) if column.shape else CELL_BYTES


def family(datatype: str) -> str:
    """Datatypes of one family hold values of one another: `text`, `bool`, `integer`, `float`."""
    if datatype == "BYTES":
        return "text"
    if datatype == "BOOL":
        return "bool"
    return "integer" if datatype in INTEGER_RANGES else "float"


def _limits(datatype: str) -> tuple[float, float]:
    if datatype == "BOOL":
        return 0, 1
    if datatype in INTEGER_RANGES:
        return INTEGER_RANGES[datatype]
    limit = FLOAT_LIMITS.get(datatype, sys.float_info.max)
    return -limit, limit


def _logged(column: Column) -> tuple[tuple[str, ValueKind], ...]:
    """The log's columns of an input, in the order in which `TensorInputs.logged` gives them."""
    summary: tuple[tuple[str, ValueKind], ...] = tuple((name, "number") for name in column.summary)
    kept = ((column.name, _kind(column.datatype, column.shape)),)
    return summary + kept if column.width <= MOST_LOGGED else summary


def _kind(datatype: Datatype, shape: tuple[int, ...]) -> ValueKind:
    if not datatype.numeric:
        return "text"
    return "vector" if shape else "number"


@cache
def _decoder(datatype: str) -> Callable[[bytes], list[Any]]:
    """Reads a list of values of a column, some of them null."""
    return msgspec.json.Decoder(_elements(datatype, nullable=True)).decode


@cache
def _elements(datatype: str, *, nullable: bool) -> Any:
    """The type of a list of plain values of `datatype`."""
    if nullable:
        return list[_element(datatype) | None]  # type: ignore[misc]
    return list[_element(datatype)]  # type: ignore[misc]


def _element(datatype: str) -> Any:
    """The type whose msgspec decoder accepts exactly the plain values of `datatype`.

    64-bit bounds are left to the caller where msgspec cannot state them.
    """
    if datatype == "BYTES":
        return str
    if datatype == "BOOL":
        return bool
    if datatype == "UINT64":
        return Annotated[int, msgspec.Meta(ge=0)]
    if datatype in INTEGER_RANGES:
        low, high = INTEGER_RANGES[datatype]
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    limit = FLOAT_LIMITS.get(datatype)
    return float if limit is None else Annotated[float, msgspec.Meta(ge=-limit, le=limit)]
