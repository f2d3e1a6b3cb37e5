"""How each API is asked for the rows of a matrix, and where its answer holds the probabilities."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from harness import protobuf

Rows = np.ndarray
"""Float64, one row per case."""

_decode_json = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Dialect:
    """An API. `encode` makes a whole request for a path; `decode` gives the probability of the
    positive class per row from a whole answer; `shape` is the same number for every answer with as
    many outputs. A gRPC dialect has the model's name for a path, and messages for requests."""

    encode: Callable[[str, Rows], bytes]
    decode: Callable[[bytes], list[float]]
    shape: Callable[[bytes], int]


def http(path: str, body: bytes, headers: str = "Content-Type: application/json") -> bytes:
    """A POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def body_of(answer: bytes) -> bytes:
    """What follows the head."""
    return answer.partition(b"\r\n\r\n")[2]


def commas(answer: bytes) -> int:
    """In JSON of a fixed form it grows with the number of values."""
    return answer.count(b",")


def positive(values: Any) -> list[float]:
    """Probabilities of the positive class, from those or from both classes' per row."""
    found = np.asarray(values, dtype=np.float64)
    return [float(value) for value in (found[:, -1] if found.ndim == 2 else found)]


def v2_body(rows: Rows, parameters: dict[str, Any] | None = None) -> bytes:
    """An Open Inference Protocol request with one matrix."""
    tensor = {"name": "input", "datatype": "FP64", "shape": list(rows.shape)}
    body: dict[str, Any] = {"inputs": [{**tensor, "data": rows.ravel().tolist()}]}
    if parameters:
        body["parameters"] = parameters
    return json.dumps(body, separators=(",", ":")).encode()


def _v2(path: str, rows: Rows) -> bytes:
    return http(path, v2_body(rows))


def _v2_decode(answer: bytes) -> list[float]:
    return _score(_decode_json(body_of(answer))["outputs"])


def _score(outputs: list[dict[str, Any]]) -> list[float]:
    """Of the floating-point outputs the last, shaped: class labels are no probabilities."""
    output = [found for found in outputs if found["datatype"] in ("FP64", "FP32")][-1]
    return positive(np.asarray(output["data"]).reshape(output["shape"]))


def _v2_proba(path: str, rows: Rows) -> bytes:
    """As `_v2`; MLServer's scikit-learn runtime answers `predict` unless asked for this output."""
    body = json.loads(v2_body(rows)) | {"outputs": [{"name": "predict_proba"}]}
    return http(path, json.dumps(body, separators=(",", ":")).encode())


def _binary(path: str, rows: Rows) -> bytes:
    raw = np.ascontiguousarray(rows, dtype="<f8").tobytes()
    tensor = {"name": "input", "datatype": "FP64", "shape": list(rows.shape)}
    body: dict[str, Any] = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(body, separators=(",", ":")).encode()
    headers = (
        f"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {len(head)}"
    )
    return http(path, head + raw, headers)


_JSON_SIZE = re.compile(rb"(?i)\r\ninference-header-content-length: *(\d+)")
_WHOLE_SIZE = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def _raw_size(answer: bytes) -> int:
    head, whole = _JSON_SIZE.search(answer), _WHOLE_SIZE.search(answer)
    return int(whole[1]) - int(head[1]) if head and whole else -1


def _binary_decode(answer: bytes) -> list[float]:
    found = _JSON_SIZE.search(answer)
    if found is None:
        raise ValueError("no Inference-Header-Content-Length")
    body, outputs = body_of(answer), []
    at = int(found[1])
    for output in _decode_json(body[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        if output["datatype"] in ("FP64", "FP32"):
            kind = "<f8" if output["datatype"] == "FP64" else "<f4"
            outputs.append({**output, "data": np.frombuffer(body[at : at + size], kind)})
        at += size
    return _score(outputs)


def _rows(path: str, rows: Rows) -> bytes:
    return http(path, json.dumps({"rows": rows.tolist()}, separators=(",", ":")).encode())


def _rows_decode(answer: bytes) -> list[float]:
    found = _decode_json(body_of(answer))
    return positive(found["scores"] if isinstance(found, dict) else found)


def _mlflow(path: str, rows: Rows) -> bytes:
    return http(path, json.dumps({"inputs": rows.tolist()}, separators=(",", ":")).encode())


def _mlflow_decode(answer: bytes) -> list[float]:
    return positive(_decode_json(body_of(answer))["predictions"])


def _grpc(model: str, rows: Rows) -> bytes:
    return protobuf.infer_request(model, rows)


def _grpc_proba(model: str, rows: Rows) -> bytes:
    return protobuf.infer_request(model, rows, "predict_proba")


def _grpc_decode(answer: bytes) -> list[float]:
    return _score(protobuf.infer_outputs(answer))


DIALECTS = {
    "v2": Dialect(_v2, _v2_decode, commas),
    "v2-proba": Dialect(_v2_proba, _v2_decode, commas),
    "v2-binary": Dialect(_binary, _binary_decode, _raw_size),
    "grpc": Dialect(_grpc, _grpc_decode, protobuf.output_size),
    "grpc-proba": Dialect(_grpc_proba, _grpc_decode, protobuf.output_size),
    "rows": Dialect(_rows, _rows_decode, commas),
    "mlflow": Dialect(_mlflow, _mlflow_decode, commas),
}
