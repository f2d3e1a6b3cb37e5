"""Inference requests of the Open Inference Protocol in JSON: from bytes to what they declare."""

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


def parse_body(data: bytes) -> Body:
    """The body as declared by the protocol; raises a 400 `Fault` that names what is wrong."""
    try:
        body = _decode_body(data)
    except msgspec.ValidationError as error:
        raise bad(f"not an inference request: {error}") from None
    except (ValueError, RecursionError) as error:
        raise bad(_not_json(error, data)) from None
    checked_id(body.id)
    return body


def _not_json(error: Exception, data: bytes) -> str:
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    words = " (NaN and Infinity are not JSON; send null)"
    hint = words if b"NaN" in data or b"Infinity" in data else ""
    return f"the body is not JSON: {error}{hint}"
