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
from trimtab.gateway.plan import PLATFORM, OutputPlan, Plan
from trimtab.gateway.values import OutputValues

JSON = b"Content-Type: application/json\r\n"
encode_json = msgspec.json.Encoder().encode

_plain_id = re.compile(r"(?! )[\w!#$&'()*+,/:;=?@\[\]~ .-]*(?<! )", re.ASCII).fullmatch


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
    id: str | msgspec.Raw
    outputs: list[Any]


def answer(call: Call, values: Sequence[OutputValues], start: int) -> tuple[bytes, bytes]:
    """Header lines and body of the answer to a call whose rows begin at `start` in the batch's
    values."""
    rows, request_id, plan = call.rows, call.request_id, call.plan
    chosen = values if call.outputs is None else [values[p] for p in call.outputs]
    one = rows == 1
    written = [
        each.singles[start] if one and each.singles else each.written(start, rows)
        for each in chosen
    ]
    form = _form(call.route.name, plan, call.outputs, rows)
    if _plain_id(request_id) and call.trace is None:
        said = request_id.encode()
        return b"%b%b\r\n" % (plan.json_headers, said), form % (b'"%b"' % said, *written)
    return answer_headers(call), form % (encode_json(request_id), *written)


@lru_cache(maxsize=1024)
def _form(deployment: str, plan: Plan, outputs: tuple[int, ...] | None, rows: int) -> bytes:
    """An answer of so many rows with a place for the id, and for the values of each output."""
    chosen = plan.outputs if outputs is None else [plan.outputs[p] for p in outputs]
    tensors = []
    for output in chosen:
        name, datatype = output.name.replace("%", "%%"), _json_datatype(output)
        shape = [rows, *output.shape]
        tensors.append(OutputTensor(name, datatype, shape, [msgspec.Raw(b"%b")]))
    name = deployment.replace("%", "%%")
    return encode_json(Answer(name, plan.version, msgspec.Raw(b"%b"), tensors))


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
    shape = [rows, *output.shape]
    return OutputTensor(output.name, _json_datatype(output), shape, values.of(start, rows))


def _json_datatype(output: OutputPlan) -> str:
    """FP16 cannot travel as JSON; FP32 holds every FP16 value."""
    return "FP32" if output.datatype == "FP16" else output.datatype


def id_value(request_id: str) -> bytes:
    """A request id as the value of a header; what cannot stand in one is percent-encoded."""
    if not _plain_id(request_id):
        request_id = quote(request_id.strip(), safe="!#$&'()*+,/:;=?@[]~ ")
    return request_id.encode()


def call_headers(call: Call) -> bytes:
    """The header lines of every answer to a call: release, id, and the span where there is one."""
    return _headers(call, call.plan.headers)


def answer_headers(call: Call) -> bytes:
    """The header lines of an inference answer in JSON."""
    return _headers(call, call.plan.json_headers)


def _headers(call: Call, before_id: bytes) -> bytes:
    headers = b"%b%b\r\n" % (before_id, id_value(call.request_id))
    if call.trace is None or (span := call.trace.answered_by) is None:
        return headers
    return b"%btraceresponse: %b\r\n" % (headers, span.encode())


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
        {
            "name": output.name,
            "datatype": output.datatype,
            "shape": [-1, *output.shape],
            **_classes(plan, output.name),
        }
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


def _classes(plan: Plan, output: str) -> dict[str, Any]:
    """Of an output of classes, which there are: `scores` has a number for each, in this order, and
    `score` that of the last."""
    classes = list(plan.signature.classes)
    if not classes or output not in ("score", "scores", "label"):
        return {}
    if output == "score":
        return {"parameters": {"positive": classes[-1]}}
    return {"parameters": {"classes": classes}}


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
