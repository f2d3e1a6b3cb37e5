"""REST's binary tensor extension: bodies of JSON followed by the bytes of tensors, both ways.

Source: Triton's `extension_binary_data.md`, "Binary Tensor Data Extension".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from trimtab.gateway.answers import Answer, encode_json, output_tensor
from trimtab.gateway.asked import Parameter
from trimtab.gateway.call import Call
from trimtab.gateway.faults import bad
from trimtab.gateway.json_inputs import JSON
from trimtab.gateway.oip import Body, InputTensor, parse_body
from trimtab.gateway.plan import ColumnPlan, Plan
from trimtab.gateway.raw_inputs import RAW, RawTensor
from trimtab.gateway.values import Inputs, OutputValues
from trimtab.ports.logsink import Texts
from trimtab.worker.frames import ITEM_SIZES, Bytes

AnyTensor = InputTensor | RawTensor


class MixedReader:
    """`Reader` of tensors in JSON or bytes, each as it came."""

    def values(self, tensor: AnyTensor, column: ColumnPlan, rows: int) -> Any:
        """The values of one column, checked."""
        if isinstance(tensor, RawTensor):
            return RAW.values(tensor, column, rows)
        return JSON.values(tensor, column, rows)

    def rows(self, tensor: AnyTensor, column: ColumnPlan, rows: int) -> NDArray[Any]:
        """[rows, values of a row] of an input with a shape per row, checked."""
        if isinstance(tensor, RawTensor):
            return RAW.rows(tensor, column, rows)
        return JSON.rows(tensor, column, rows)

    def texts(self, tensor: AnyTensor, rows: int) -> Texts:
        """The values of a business key, as texts."""
        if isinstance(tensor, RawTensor):
            return RAW.texts(tensor, rows)
        return JSON.texts(tensor, rows)

    def matrix(self, tensor: AnyTensor, plan: Plan, keys: Texts | None) -> Inputs:
        """All columns from one tensor of rank 2."""
        if isinstance(tensor, RawTensor):
            return RAW.matrix(tensor, plan, keys)
        return JSON.matrix(tensor, plan, keys)


MIXED = MixedReader()


def parse_binary(data: bytes, json_size: int) -> tuple[Body, list[AnyTensor]]:
    """The JSON at the front of a body, and its inputs with the bytes behind; raises a 400 `Fault`.

    The bytes of the tensors are views of `data`.
    """
    if json_size > len(data):
        raise bad(f"Inference-Header-Content-Length is {json_size}, the body has {len(data)} bytes")
    body = parse_body(data[:json_size])
    view = memoryview(data)
    offset = json_size
    tensors: list[AnyTensor] = []
    for tensor in body.inputs:
        size = _binary_size(tensor)
        if size is None:
            tensors.append(tensor)
            continue
        raw = view[offset : offset + size]
        tensors.append(RawTensor(tensor.name, tensor.datatype, tensor.shape, raw))
        offset += size
    if offset != len(data):
        raise bad(
            f"the inputs describe {offset - json_size} bytes after the JSON, "
            f"the body has {len(data) - json_size}"
        )
    return body, tensors


def lone_tensor(plan: Plan, data: bytes) -> RawTensor:
    """The only input of a release, when it is the whole body; raises a 400 `Fault`.

    Several numeric columns are one FP64 matrix. A text is a single row without its length.
    """
    first, width = plan.columns[0], len(plan.columns)
    if width == 1 and first.shape:
        return _lone_rows(first, data)
    if width > 1 and not plan.matrix_capable:
        raise bad(f"a body without JSON is one tensor; the release takes {width} inputs")
    if first.wire == "BYTES":
        return RawTensor(
            first.name, "BYTES", [1], b"%b%b" % (len(data).to_bytes(4, "little"), data)
        )
    datatype = first.wire if width == 1 else "FP64"
    row = ITEM_SIZES[datatype] * width
    if len(data) % row:
        raise bad(f"the body has {len(data)} bytes; a row of {width} {datatype} has {row}")
    rows = len(data) // row
    return RawTensor(first.name, datatype, [rows] if width == 1 else [rows, width], data)


def _lone_rows(column: ColumnPlan, data: bytes) -> RawTensor:
    row = ITEM_SIZES[column.wire] * column.width
    if len(data) % row:
        raise bad(f"the body has {len(data)} bytes; a row of {column.name!r} has {row}")
    shape = [len(data) // row, *column.shape]
    return RawTensor(column.name, column.wire, shape, data)


class BinaryOutputs:
    """Which outputs a client wants as bytes: `all` but for those that `named` says otherwise."""

    __slots__ = ("all", "named")

    def __init__(self, *, everything: bool, named: Mapping[str, bool]) -> None:
        self.all = everything
        self.named = named

    def answer(
        self, call: Call, values: Sequence[OutputValues], start: int
    ) -> tuple[int, list[Bytes]]:
        """Size of the JSON of an answer, and the parts of its body."""
        chosen = values if call.outputs is None else [values[p] for p in call.outputs]
        outputs: list[Any] = []
        parts: list[Bytes] = []
        for each in chosen:
            if self.named.get(each.output.name, self.all):
                raw = each.raw(start, call.rows)
                outputs.append(_described(each, call.rows, len(raw)))
                parts.append(raw)
            else:
                outputs.append(output_tensor(each, start, call.rows))
        answer = Answer(call.route.name, call.plan.version, call.request_id, outputs)
        head = encode_json(answer)
        return len(head), [head, *parts]


def binary_outputs(body: Body) -> BinaryOutputs | None:
    """Which outputs a request wants as bytes, None for none; raises a 400 `Fault`."""
    everything = _flag(body.parameters, "binary_data_output") or False
    named = {
        each.name: flag
        for each in body.outputs or ()
        if (flag := _flag(each.parameters, "binary_data")) is not None
    }
    if not everything and not any(named.values()):
        return None
    return BinaryOutputs(everything=everything, named=named)


class OutputBytes(msgspec.Struct, frozen=True, gc=False):
    """One entry of `outputs` whose data follows the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int]


def _described(values: OutputValues, rows: int, size: int) -> OutputBytes:
    output = values.output
    parameters = {"binary_data_size": size}
    return OutputBytes(output.name, output.datatype, [rows, *output.shape], parameters)


def _binary_size(tensor: InputTensor) -> int | None:
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise bad(f"input {tensor.name!r}: binary_data_size is {size!r}, not a whole number from 0")
    if bytes(tensor.data):
        raise bad(f"input {tensor.name!r} has both data and binary_data_size")
    return size


def _flag(parameters: Mapping[str, Parameter] | None, name: str) -> bool | None:
    value = parameters.get(name) if parameters else None
    if value is not None and not isinstance(value, bool):
        raise bad(f"parameters.{name} is {value!r}, not true or false")
    return value
