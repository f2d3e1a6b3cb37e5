"""The few messages of the Open Inference Protocol over gRPC, written and read by hand.

Field numbers are those of `inference.GRPCInferenceService` in the protocol's own definition.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field: bytes, or an integer."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _read_varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        elif kind == _VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, value
        else:
            size = 8 if kind == _FIXED64 else 4
            yield key >> 3, data[at : at + size]
            at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def infer_request(model: str, rows: np.ndarray, output: str = "") -> bytes:
    """A ModelInferRequest with one FP64 matrix as raw bytes."""
    shape = b"".join(varint(size) for size in rows.shape)
    tensor = field(1, b"input") + field(2, b"FP64") + field(3, shape)
    wanted = field(6, field(1, output.encode())) if output else b""
    raw = np.ascontiguousarray(rows, dtype="<f8").tobytes()
    return field(1, model.encode()) + field(5, tensor) + wanted + field(7, raw)


def infer_outputs(message: bytes) -> list[dict[str, Any]]:
    """Outputs of a ModelInferResponse as `name`, `datatype`, `shape`, `data`."""
    outputs = [_tensor(value) for number, value in fields(message) if number == 5]
    raw = [value for number, value in fields(message) if number == 6]
    for output, data in zip(outputs, raw, strict=False):
        kind = {"FP64": "<f8", "FP32": "<f4"}.get(output["datatype"])
        output["data"] = np.frombuffer(data, kind) if kind else data
    return outputs


def _tensor(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": []}
    for number, value in fields(data):
        if number in (1, 2):
            found[{1: "name", 2: "datatype"}[number]] = value.decode()
        elif number == 3:
            found["shape"] += [value] if isinstance(value, int) else _packed(value)
        elif number == 5:
            found["data"] = _contents(value)
    return found


def _packed(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _read_varint(data, at)
        values.append(value)
    return values


def _contents(data: bytes) -> np.ndarray:
    """Typed contents: packed floats (6) or doubles (7)."""
    kinds = {6: "<f4", 7: "<f8"}
    parts = [
        np.frombuffer(value, kinds[number]) for number, value in fields(data) if number in kinds
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def output_size(message: bytes) -> int:
    """Bytes of all outputs."""
    return sum(len(value) for number, value in fields(message) if number in (5, 6))
