"""Inference requests of the Open Inference Protocol in JSON: from bytes to what they declare."""

import re
from typing import Annotated

import msgspec

from trimtab.gateway.asked import Parameter, checked_id
from trimtab.gateway.faults import bad

_EMPTY = msgspec.Raw(b"")

Dimension = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class InputTensor(msgspec.Struct, frozen=True, gc=False):
    """One entry of `inputs`; `data` stays undecoded until its column is known."""

    name: str
    shape: list[Dimension]
    datatype: str
    data: msgspec.Raw = _EMPTY
    parameters: dict[str, Parameter] | None = None


class WantedOutput(msgspec.Struct, frozen=True, gc=False):
    """One entry of `outputs`."""

    name: str
    parameters: dict[str, Parameter] | None = None


class Body(msgspec.Struct, frozen=True, gc=False):
    """The body of an inference request."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Parameter] | None = None
    outputs: list[WantedOutput] | None = None


_decode_body = msgspec.json.Decoder(Body).decode

LIFTED = 4096
"""Bytes of a body from which on it is worth to look for its values first."""

_VALUES = re.compile(rb'"data"\s*:\s*(?=\[)')
_STAND_IN = b"[ \t ]"


def parse_body(data: bytes) -> Body:
    """The body as declared by the protocol; raises a 400 `Fault` that names what is wrong.

    Whether `data` of a tensor is JSON may be left to those who read it.
    """
    try:
        body = (_lifted(data) if len(data) >= LIFTED else None) or _decode_body(data)
    except msgspec.ValidationError as error:
        raise bad(f"not an inference request: {error}") from None
    except (ValueError, RecursionError) as error:
        raise bad(f"the body is not JSON: {not_json(error, data)}") from None
    if body.id is not None:
        checked_id(body.id)
    return body


def _lifted(data: bytes) -> Body | None:
    """A body that is nearly all the values of one flat tensor, without a look at each of them.

    Up to the first bracket after `"data":` they are one JSON value, or none at all: a bracket in a
    text or a list ends it too early, and then what follows is no JSON. None for any other body.
    """
    found = _VALUES.search(data)
    start = found.end() if found else 0
    end = data.find(b"]", start) + 1
    if not start or not end or len(data) - (end - start) > LIFTED:
        return None
    try:
        body = _decode_body(b"%b%b%b" % (data[:start], _STAND_IN, data[end:]))
    except (ValueError, RecursionError):
        return None
    if len(body.inputs) != 1 or bytes(body.inputs[0].data) != _STAND_IN:
        return None
    values = msgspec.Raw(memoryview(data)[start:end])
    tensor = msgspec.structs.replace(body.inputs[0], data=values)
    return msgspec.structs.replace(body, inputs=[tensor])


def not_json(error: Exception, data: bytes) -> str:
    """Why something is not JSON."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    hint = b"NaN" in data or b"Infinity" in data
    return f"{error}{' (NaN and Infinity are not JSON; send null)' if hint else ''}"
