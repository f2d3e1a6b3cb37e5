"""Answers of the Open Inference Protocol: values to bytes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from trimtab.gateway import turns
from trimtab.gateway.call import Call
from trimtab.gateway.counted import Counted
from trimtab.gateway.plan import PLATFORM, Plan
from trimtab.gateway.values import OutputValues

JSON = b"Content-Type: application/json\r\n"
encode_json = msgspec.json.Encoder().encode

_PLAIN_ID = re.compile(r"[\w!#$&'()*+,/:;=?@\[\]~ .-]*", re.ASCII)


class OutputTensor(msgspec.Struct, frozen=True, gc=False):
    """One entry of `outputs`; `data` is flat, row-major."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The body of an inference answer. A number that is not finite becomes null."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Any]


def answer_body(call: Call, values: Sequence[OutputValues], start: int) -> bytes:
    """The answer to a call whose rows begin at `start` in the batch's values."""
    chosen = values if call.outputs is None else [values[p] for p in call.outputs]
    tensors = [output_tensor(each, start, call.rows) for each in chosen]
    return encode_json(Answer(call.route.name, call.plan.version, call.request_id, tensors))


def answer_parts(call: Call, values: Sequence[OutputValues], start: int) -> Iterator[bytes]:
    """The same, some rows at a time."""
    chosen = values if call.outputs is None else [values[p] for p in call.outputs]
    yield encode_json(Answer(call.route.name, call.plan.version, call.request_id, []))[:-2]
    for number, each in enumerate(chosen):
        tensor = output_tensor(each, start, 0)
        tensor = msgspec.structs.replace(tensor, shape=[call.rows, *each.output.shape])
        head = encode_json(tensor)[:-2]
        yield b",%b" % head if number else head
        for first in range(0, call.rows, turns.TURN_CELLS):
            rows = min(turns.TURN_CELLS, call.rows - first)
            part = encode_json(each.fresh(start + first, rows))[1:-1]
            yield b",%b" % part if first else part
        yield b"]}"
    yield b"]}"


def output_tensor(values: OutputValues, start: int, rows: int) -> OutputTensor:
    """Some rows of an output as an entry in JSON."""
    output = values.output
    # FP16 cannot travel as JSON; FP32 holds every FP16 value.
    datatype = "FP32" if output.datatype == "FP16" else output.datatype
    return OutputTensor(output.name, datatype, [rows, *output.shape], values.of(start, rows))


def id_value(request_id: str) -> bytes:
    """A request id as the value of a header; what cannot stand in one is percent-encoded."""
    if not _PLAIN_ID.fullmatch(request_id) or request_id != request_id.strip():
        request_id = quote(request_id.strip(), safe="!#$&'()*+,/:;=?@[]~ ")
    return request_id.encode()


def call_headers(call: Call) -> bytes:
    """The header lines of every answer to a call: release, id, and the span where there is one."""
    headers = b"%bX-Request-Id: %b\r\n" % (call.plan.headers, id_value(call.request_id))
    if call.trace is None or (span := call.trace.answered_by) is None:
        return headers
    return b"%btraceresponse: %b\r\n" % (headers, span.encode())


def answer_headers(call: Call) -> bytes:
    """The header lines of an inference answer."""
    return JSON + call_headers(call)


@lru_cache(maxsize=256)
def _metadata_cached(plan: Plan, deployment: str, versions: tuple[int, ...]) -> bytes:
    inputs = [
        {
            "name": c.name,
            "datatype": c.wire,
            "shape": [-1, *c.shape],
            "parameters": {"nullable": c.nullable},
        }
        for c in plan.columns
    ]
    outputs = [
        {"name": output.name, "datatype": output.datatype, "shape": [-1, *output.shape]}
        for output in plan.outputs
    ]
    return encode_json(
        {
            "name": deployment,
            "versions": [str(number) for number in versions],
            "platform": PLATFORM,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"release": plan.name, "digest": plan.release},
        }
    )


def metadata(plan: Plan, deployment: str, versions: tuple[int, ...]) -> bytes:
    """The model metadata of a release in a deployment."""
    return _metadata_cached(plan, deployment, versions)


def statistics(deployment: str, counted: Mapping[str, Counted]) -> list[dict[str, Any]]:
    """The counts of a deployment's releases since this process started, in Triton's words: rows are
    inferences, and batches executions."""
    return [
        {
            "name": deployment,
            "version": release.rpartition("@")[2],
            "inference_count": counts.rows,
            "execution_count": counts.batches,
            "inference_stats": {
                name: {"count": count, "ns": nanoseconds}
                for name, count, nanoseconds in counts.spent
            },
            "batch_stats": [],
        }
        for release, counts in counted.items()
    ]
