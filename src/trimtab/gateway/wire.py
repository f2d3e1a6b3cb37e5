"""Batches to frames and results back to rows: the worker's side of a request (docs/wire.md)."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from trimtab.gateway.plan import NUMPY_TYPES, ColumnPlan, OutputPlan, Plan
from trimtab.worker.frames import (
    Bytes,
    Frame,
    FrameError,
    Kind,
    Tensor,
    decode_texts,
    encode,
    encode_texts,
    tensors_of,
)

_encode_json = msgspec.json.Encoder().encode


class Rows(Protocol):
    """What a batch is made of: some rows as one list per column."""

    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> list[list[Any]]: ...


class OutputValues:
    """One output of a batch: `flat` for answers, `logged` with one entry per row for the log."""

    __slots__ = ("flat", "logged", "width")

    def __init__(self, flat: list[Any], logged: list[Any], width: int) -> None:
        self.flat = flat
        self.logged = logged
        self.width = width


def predict_frame(
    plan: Plan, number: int, parts: Sequence[Rows], seconds_left: float
) -> list[Bytes]:
    """The PREDICT frame of a batch; rows lie in the order of `parts`."""
    rows = sum(part.rows for part in parts)
    if plan.matrix:
        described, chunks = _matrix(plan, parts, rows)
    else:
        described, chunks = _columns(plan, parts, rows)
    header = {"id": number, "rows": rows, "inputs": described, "seconds_left": seconds_left}
    return encode(Kind.PREDICT, _encode_json(header), chunks)


def _matrix(
    plan: Plan, parts: Sequence[Rows], rows: int
) -> tuple[list[dict[str, Any]], list[Bytes]]:
    width = len(plan.columns)
    matrix = np.empty((rows, width), dtype="<f8")
    start = 0
    for part in parts:
        end = start + part.rows
        matrix[start:end] = np.array(part.columns, dtype=np.float64).reshape(width, -1).T
        start = end
    data = matrix.tobytes()
    entry = {"name": "", "datatype": "FP64", "shape": [rows, width], "size": len(data)}
    return [entry], [data]


def _columns(
    plan: Plan, parts: Sequence[Rows], rows: int
) -> tuple[list[dict[str, Any]], list[Bytes]]:
    described: list[dict[str, Any]] = []
    chunks: list[Bytes] = []
    for column in plan.columns:
        position = column.position
        if len(parts) == 1:
            values = parts[0].columns[position]
        else:
            values = [value for part in parts for value in part.columns[position]]
        datatype, data = _column_bytes(column, values)
        described.append(
            {"name": column.name, "datatype": datatype, "shape": [rows], "size": len(data)}
        )
        chunks.append(data)
    return described, chunks


def _column_bytes(column: ColumnPlan, values: list[Any]) -> tuple[str, bytes]:
    """A whole number or boolean that is missing has no bits, so such a column travels as FP64."""
    if column.family == "text":
        return "BYTES", encode_texts(values)
    wire = column.wire
    if column.family != "float" and None in values:
        wire = "FP64"
    return wire, np.array(values, dtype=NUMPY_TYPES[wire]).tobytes()


def result_values(plan: Plan, frame: Frame, rows: int) -> list[OutputValues]:
    """The outputs of a RESULT in the signature's order.

    Raises `FrameError` unless it has exactly the promised outputs with exactly `rows` rows.
    """
    if frame.header.get("rows") != rows:
        raise FrameError(f"{rows} rows were sent, {frame.header.get('rows')} came back")
    (tensors,) = tensors_of(frame, "outputs")
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) != len(plan.outputs) or len(tensors) != len(plan.outputs):
        raise FrameError(f"the outputs are {sorted(by_name)}, not those of the signature")
    return [_output(output, by_name.get(output.name), rows) for output in plan.outputs]


def _output(output: OutputPlan, tensor: Tensor | None, rows: int) -> OutputValues:
    if tensor is None:
        raise FrameError(f"output {output.name!r} is missing")
    if tensor.datatype != output.datatype or tensor.shape != (rows, *output.shape):
        raise FrameError(
            f"output {output.name!r} is {tensor.datatype} of shape {list(tensor.shape)}, "
            f"not {output.datatype} of {[rows, *output.shape]}"
        )
    if output.kind == "text":
        texts: list[Any] = decode_texts(tensor.data, rows * output.width)
        return OutputValues(texts, _text_rows(texts, output, rows), output.width)
    array = np.frombuffer(tensor.data, dtype=NUMPY_TYPES[output.datatype])
    flat: list[Any] = array.tolist()
    if output.kind == "number":
        return OutputValues(flat, flat, 1)
    logged = array.reshape(rows, output.width).astype(np.float64).tolist()
    return OutputValues(flat, logged, output.width)


def _text_rows(texts: list[Any], output: OutputPlan, rows: int) -> list[Any]:
    """The log has one text per row; several are kept as a JSON list."""
    if not output.shape:
        return texts
    width = output.width
    return [_encode_json(texts[r * width : (r + 1) * width]).decode() for r in range(rows)]
