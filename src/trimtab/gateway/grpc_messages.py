"""The messages of inference over gRPC: from bytes to tensors, from values to bytes.

Field numbers are those of the Open Inference Protocol (`grpc_predict_v2.proto`). Typed contents and
raw bytes become the same: tensors as raw bytes.
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.gateway import protobuf
from trimtab.gateway.asked import Parameter, checked_id
from trimtab.gateway.call import Call
from trimtab.gateway.faults import bad
from trimtab.gateway.plan import INTEGER_RANGES, NUMPY_TYPES, OutputPlan
from trimtab.gateway.protobuf import BYTES, FIXED32, FIXED64, VARINT, ProtobufError, tag
from trimtab.gateway.raw_inputs import RawTensor
from trimtab.gateway.values import OutputValues
from trimtab.worker.frames import Bytes

KNOWN_TENSORS = 4096
LONGEST_KNOWN_TENSOR = 512
MOST_DIMENSIONS = 64
MOST_NUMBERS = 8 * 1024 * 1024
"""Bytes of typed whole numbers in a request; they take eight times as much while they are read."""

VIEWED = 16 * 1024
"""Bytes of a message from which on its parts are not copied out of it."""

MODEL_NAME, MODEL_VERSION, ID = (tag(number, BYTES) for number in (1, 2, 3))
PARAMETERS, INPUTS, OUTPUTS, RAW_INPUTS = (tag(number, BYTES) for number in (4, 5, 6, 7))
TENSOR_NAME, DATATYPE, SHAPE = (tag(number, BYTES) for number in (1, 2, 3))
SHAPE_ITEM, CONTENTS = tag(3, VARINT), tag(5, BYTES)
KEY, VALUE = tag(1, BYTES), tag(2, BYTES)

_TYPED = {
    **dict.fromkeys(("INT8", "INT16", "INT32"), 2),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), 4),
    "BOOL": 1,
    "INT64": 3,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    "BYTES": 8,
}
"""The field of the contents that holds the values of a datatype."""

_WHOLE_NUMBERS = frozenset(tag(number, BYTES) for number in range(1, 6))
_FIXED = {6: FIXED32, 7: FIXED64}
"""Fields whose packed values are their raw bytes, and the wire type of a single value."""

_LENGTH = struct.Struct("<I")
_RAW_OUTPUT = 6


class InferRequest(msgspec.Struct, frozen=True, gc=False):
    """What is asked. `raw` tells that the values came as raw bytes, and so shall go back."""

    model: str
    version: str
    id: str
    parameters: dict[str, Parameter] | None
    tensors: list[RawTensor]
    outputs: list[str]
    raw: bool


class _Tensor(msgspec.Struct, frozen=True, gc=False):
    """An input as it is declared; its values are in `contents`, or beside it."""

    name: str
    datatype: str
    shape: list[int]
    contents: list[tuple[int, Any]] | None


_known_tensors: dict[Bytes, _Tensor] = {}


def parse_infer(message: bytes) -> InferRequest:
    """A ModelInferRequest; raises a 400 `Fault` that says what is wrong."""
    try:
        return _parse_infer(memoryview(message) if len(message) >= VIEWED else message)
    except ProtobufError as error:
        raise bad(f"not a ModelInferRequest: {error}") from None


def _parse_infer(message: Bytes) -> InferRequest:
    texts = {MODEL_NAME: "", MODEL_VERSION: "", ID: ""}
    parameters: dict[str, Parameter] | None = None
    tensors: list[_Tensor] = []
    outputs: list[str] = []
    raw: list[Bytes] = []
    reader = protobuf.Reader()
    for mark, value in reader.fields(message):
        if mark == INPUTS:
            known = len(value) <= LONGEST_KNOWN_TENSOR and _known_tensors.get(value)
            tensors.append(known or _tensor(value, reader))
        elif mark == RAW_INPUTS:
            raw.append(value)
        elif mark in texts:
            texts[mark] = protobuf.text_of(value)
        elif mark == OUTPUTS:
            outputs.append(_name(value, reader))
        elif mark == PARAMETERS:
            parameters = parameters or {}
            parameters.update(_parameter(value, reader))
    return InferRequest(
        texts[MODEL_NAME],
        texts[MODEL_VERSION],
        checked_id(texts[ID]) or "",
        parameters,
        _with_values(tensors, raw),
        outputs,
        bool(raw),
    )


def _with_values(tensors: list[_Tensor], raw: list[Bytes]) -> list[RawTensor]:
    if not raw:
        _check_numbers(tensors)
        return [RawTensor(t.name, t.datatype, t.shape, _typed(t)) for t in tensors]
    if len(raw) != len(tensors):
        raise bad(f"raw_input_contents has {len(raw)} entries for {len(tensors)} inputs")
    for tensor in tensors:
        if tensor.contents:
            raise bad(f"input {tensor.name!r} has contents beside raw_input_contents")
    return [
        RawTensor(tensor.name, tensor.datatype, tensor.shape, data)
        for tensor, data in zip(tensors, raw, strict=True)
    ]


def _check_numbers(tensors: list[_Tensor]) -> None:
    contents = (each for tensor in tensors for each in tensor.contents or ())
    if sum(len(value) for mark, value in contents if mark in _WHOLE_NUMBERS) > MOST_NUMBERS:
        raise bad("so many whole numbers have to be in raw_input_contents")


def _tensor(data: Bytes, reader: protobuf.Reader) -> _Tensor:
    """An InferInputTensor. One without contents comes again, and is recognised by its bytes."""
    name = datatype = ""
    shape: list[int] = []
    contents: list[tuple[int, Any]] = []
    for mark, value in reader.fields(data):
        if mark == TENSOR_NAME:
            name = protobuf.text_of(value)
        elif mark == DATATYPE:
            datatype = protobuf.text_of(value)
        elif mark == SHAPE:
            if len(value) > 10 * MOST_DIMENSIONS:
                raise ProtobufError("a shape has too many dimensions")
            shape += protobuf.varints(value).view(np.int64).tolist()
        elif mark == SHAPE_ITEM:
            shape.append(protobuf.signed(value))
        elif mark == CONTENTS:
            contents += reader.fields(value)
    tensor = _Tensor(name, datatype, shape, contents or None)
    if not contents and len(data) <= LONGEST_KNOWN_TENSOR:
        if len(_known_tensors) >= KNOWN_TENSORS:
            _known_tensors.clear()
        _known_tensors[bytes(data)] = tensor
    return tensor


def _name(data: Bytes, reader: protobuf.Reader) -> str:
    """The name of an InferRequestedOutputTensor."""
    named = [v for mark, v in reader.fields(data) if mark == TENSOR_NAME]
    return protobuf.text_of(named[-1]) if named else ""


_PARAMETER: dict[int, Callable[[Any], Parameter]] = {
    tag(1, VARINT): bool,
    tag(2, VARINT): protobuf.signed,
    tag(3, BYTES): protobuf.text_of,
    tag(4, FIXED64): protobuf.double_of,
    tag(5, VARINT): int,
}
"""The alternatives of an InferParameter."""


def _parameter(data: Bytes, reader: protobuf.Reader) -> dict[str, Parameter]:
    """An entry of the map of parameters; nothing when its value is of a kind unknown here."""
    key, value = "", b""
    for mark, found in reader.fields(data):
        if mark == KEY:
            key = protobuf.text_of(found)
        elif mark == VALUE:
            value = found
    for mark, found in reversed(reader.fields(value)):
        if read := _PARAMETER.get(mark):
            return {key: read(found)}
    return {}


def _typed(tensor: _Tensor) -> Bytes:
    """Typed contents as raw bytes; raises a 400 `Fault`."""
    wanted = _TYPED.get(tensor.datatype)
    if wanted is None:
        if tensor.datatype == "FP16":
            raise bad(f"input {tensor.name!r} is FP16, which has to be in raw_input_contents")
        return b""  # whoever reads the tensor says that its datatype is unknown
    chunks: list[Any] = []
    for mark, value in tensor.contents or ():
        if mark >> 3 == wanted:
            chunks += [value] if mark & 7 in (BYTES, _FIXED.get(wanted, VARINT)) else []
        elif 1 <= mark >> 3 <= max(_TYPED.values()):
            raise bad(f"input {tensor.name!r} is {tensor.datatype}, its contents are not")
    if wanted == _TYPED["BYTES"]:
        texts = [chunk for chunk in chunks if not isinstance(chunk, int)]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    if wanted in _FIXED:
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return _integers(tensor, chunks)


def _integers(tensor: _Tensor, chunks: list[Any]) -> bytes:
    """Whole numbers, packed or one by one, in the width of their datatype."""
    parts = [
        np.array([chunk], np.uint64) if isinstance(chunk, int) else protobuf.varints(chunk)
        for chunk in chunks
    ]
    values: NDArray[Any] = np.concatenate(parts) if parts else np.array([], np.uint64)
    if tensor.datatype == "BOOL":
        return values.astype(np.bool_).tobytes()
    kind = NUMPY_TYPES[tensor.datatype]
    if kind.kind == "i":
        values = values.view(np.int64)
    low, high = INTEGER_RANGES[tensor.datatype]
    outside = np.flatnonzero((values < low) | (values > high))
    if len(outside):
        found = values[outside[0]]
        raise bad(f"input {tensor.name!r}: {found} is not a value of {tensor.datatype}")
    return bytes(values.astype(kind).tobytes())


def infer_response(call: Call, values: Sequence[OutputValues], start: int, raw: bool) -> bytes:
    """The ModelInferResponse to a call whose rows begin at `start` in the batch's values."""
    chosen = values if call.outputs is None else [values[p] for p in call.outputs]
    parts = [_names(call.route.name, call.plan.version), protobuf.text(3, call.request_id)]
    if raw:
        parts += [_declared(each.output, call.rows) for each in chosen]
        for each in chosen:
            data = each.raw(start, call.rows)
            parts += (protobuf.field_head(_RAW_OUTPUT, len(data)), bytes(data))
    else:
        parts += [_with_contents(each, start, call.rows) for each in chosen]
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _names(deployment: str, version: str) -> bytes:
    return protobuf.text(1, deployment) + protobuf.text(2, version)


@lru_cache(maxsize=4096)
def _declared(output: OutputPlan, rows: int) -> bytes:
    return protobuf.nested(5, _described(output, output.datatype, rows))


def _described(output: OutputPlan, datatype: str, rows: int) -> bytes:
    """Name, datatype and shape of an output tensor, or of an input in the metadata."""
    shape = protobuf.integers(3, (rows, *output.shape))
    return protobuf.text(1, output.name) + protobuf.text(2, datatype) + shape


def _with_contents(values: OutputValues, start: int, rows: int) -> bytes:
    output = values.output
    # FP16 has no typed contents; FP32 holds every FP16 value.
    datatype = "FP32" if output.datatype == "FP16" else output.datatype
    contents = protobuf.nested(5, _contents(values, datatype, start, rows))
    return protobuf.nested(5, _described(output, datatype, rows) + contents)


def _contents(values: OutputValues, datatype: str, start: int, rows: int) -> bytes:
    number = _TYPED[datatype]
    if datatype == "BYTES":
        texts = values.of(start, rows)
        return b"".join(protobuf.nested(number, (text or "").encode()) for text in texts)
    if number in _FIXED:
        data = values.raw(start, rows)
        if values.output.datatype == "FP16":
            data = np.frombuffer(data, "<f2").astype("<f4").tobytes()
        return protobuf.nested(number, data)
    return protobuf.integers(number, map(int, values.of(start, rows)))


def named_version(message: bytes) -> tuple[str, str]:
    """Name and version of the many requests that have just these; raises a 400 `Fault`."""
    found = {MODEL_NAME: "", MODEL_VERSION: ""}
    try:
        for mark, value in protobuf.fields(message):
            if mark in found:
                found[mark] = protobuf.text_of(value)
    except ProtobufError as error:
        raise bad(f"the request cannot be read: {error}") from None
    return found[MODEL_NAME], found[MODEL_VERSION]
