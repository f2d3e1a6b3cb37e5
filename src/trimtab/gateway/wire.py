"""Batches to frames and results back to values: the worker's side of a request (docs/wire.md)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from trimtab.gateway.plan import NUMPY_TYPES, ColumnPlan, OutputPlan, Plan
from trimtab.gateway.values import Inputs, OutputValues
from trimtab.worker.frames import (
    Bytes,
    Frame,
    FrameError,
    Kind,
    Tensor,
    aligned,
    encode,
    encode_texts,
    tensors_of,
)

_encode_json = msgspec.json.Encoder().encode


def predict_frame(
    plan: Plan,
    number: int,
    parts: Sequence[Inputs],
    seconds_left: float,
    patience: float,
    traces: Sequence[Mapping[str, str]] = (),
) -> list[Bytes]:
    """The PREDICT frame of a batch; rows lie in the order of `parts`.

    `seconds_left` is when nobody waits any more, `patience` when the worker is taken to hang,
    `traces` the headers of those requests that are traced.
    """
    rows = sum([part.rows for part in parts])
    if plan.matrix:
        described, chunks = _matrix(plan, parts, rows)
    else:
        described, chunks = _columns(plan, parts, rows)
    header: dict[str, Any] = {
        "id": number,
        "rows": rows,
        "inputs": described,
        "seconds_left": seconds_left,
        "patience": patience,
    }
    if traces:
        header["traces"] = traces
    return encode(Kind.PREDICT, aligned(_encode_json(header)), chunks)


def _matrix(
    plan: Plan, parts: Sequence[Inputs], rows: int
) -> tuple[list[dict[str, Any]], list[Bytes]]:
    data = b"".join([part.matrix or b"" for part in parts])
    shape = [rows, len(plan.columns)]
    return [{"name": "", "datatype": "FP64", "shape": shape, "size": len(data)}], [data]


def _columns(
    plan: Plan, parts: Sequence[Inputs], rows: int
) -> tuple[list[dict[str, Any]], list[Bytes]]:
    described: list[dict[str, Any]] = []
    chunks: list[Bytes] = []
    lists = [part.columns or [] for part in parts]
    for column in plan.columns:
        position = column.position
        datatype, data = _column_bytes(column, [columns[position] for columns in lists])
        shape = [rows, *column.shape]
        described.append(
            {"name": column.name, "datatype": datatype, "shape": shape, "size": len(data)}
        )
        chunks.append(data)
    return described, chunks


def _column_bytes(column: ColumnPlan, parts: list[Any]) -> tuple[str, bytes]:
    """A whole number or boolean that is missing has no bits, so such a column travels as FP64."""
    if column.shape:
        return column.wire, b"".join([part.tobytes() for part in parts])
    values = parts[0] if len(parts) == 1 else [value for part in parts for value in part]
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
    return OutputValues(output, tensor.data, rows)
