"""Batches to frames and results back to values: the worker's side of a request (docs/wire.md)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trimtab.gateway.plan import NUMPY_TYPES, ColumnPlan, OutputPlan, Plan
from trimtab.gateway.values import Inputs, OutputValues, packed
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

MOST_LAYOUTS = 1024
"""Numbers of rows for which it is kept where the outputs of a release lie."""

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
    if wire == "FP64":
        return wire, packed(values)
    return wire, np.array(values, dtype=NUMPY_TYPES[wire]).tobytes()


class Results:
    """Reads the outputs of a release out of what its workers send.

    Most results of as many rows are described in the same words: then the outputs lie where they
    lay before.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen: dict[int, _Layout] = {}

    def values(self, frame: Frame, rows: int) -> list[OutputValues]:
        """The outputs of a RESULT in the signature's order.

        Raises `FrameError` unless it has exactly the promised outputs with exactly `rows` rows.
        """
        header, body = frame.header, frame.body
        if header.get("rows") != rows:
            raise FrameError(f"{rows} rows were sent, {header.get('rows')} came back")
        seen = self._seen.get(rows)
        if seen is None or seen.said != header.get("outputs") or seen.size != len(body):
            seen = self._learned(frame, rows)
        return [
            OutputValues(output, body[start:end], rows)
            for output, (start, end) in zip(self._plan.outputs, seen.places, strict=True)
        ]

    def _learned(self, frame: Frame, rows: int) -> "_Layout":
        layout = _layout(self._plan, frame, rows)
        if len(self._seen) >= MOST_LAYOUTS:
            self._seen.clear()
        self._seen[rows] = layout
        return layout


class _Layout(NamedTuple):
    """What a RESULT said of its outputs, and where in its `size` bytes those of the signature lie,
    in its order."""

    said: Any
    size: int
    places: list[tuple[int, int]]


def _layout(plan: Plan, frame: Frame, rows: int) -> _Layout:
    (tensors,) = tensors_of(frame, "outputs")
    places: dict[str, tuple[Tensor, int]] = {}
    size = 0
    for tensor in tensors:
        places[tensor.name] = tensor, size
        size += len(tensor.data)
    if len(places) != len(plan.outputs) or len(tensors) != len(plan.outputs):
        raise FrameError(f"the outputs are {sorted(places)}, not those of the signature")
    return _Layout(
        frame.header["outputs"], size, [_place(output, places, rows) for output in plan.outputs]
    )


def _place(
    output: OutputPlan, places: Mapping[str, tuple[Tensor, int]], rows: int
) -> tuple[int, int]:
    if output.name not in places:
        raise FrameError(f"output {output.name!r} is missing")
    tensor, start = places[output.name]
    if tensor.datatype != output.datatype or tensor.shape != (rows, *output.shape):
        raise FrameError(
            f"output {output.name!r} is {tensor.datatype} of shape {list(tensor.shape)}, "
            f"not {output.datatype} of {[rows, *output.shape]}"
        )
    return start, start + len(tensor.data)
