"""Callers that speak the Open Inference Protocol over HTTP, in JSON or with binary tensors."""

from collections.abc import Sequence
from functools import partial

from trimtab.gateway import turns
from trimtab.gateway.answers import answer, answer_headers, answer_parts, call_headers
from trimtab.gateway.asked import wanted_outputs
from trimtab.gateway.binary import (
    MIXED,
    AnyTensor,
    BinaryOutputs,
    binary_outputs,
    lone_tensor,
    parse_binary,
)
from trimtab.gateway.call import Call, Send
from trimtab.gateway.faults import Fault
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.json_inputs import inputs_of_json
from trimtab.gateway.oip import Body, parse_body
from trimtab.gateway.pieces import InTurns
from trimtab.gateway.plan import Plan
from trimtab.gateway.raw_inputs import RAW
from trimtab.gateway.tensor_pieces import tensor_pieces
from trimtab.gateway.tensors import inputs_of
from trimtab.gateway.values import Inputs, OutputValues

_EVERYTHING = BinaryOutputs(everything=True, named={})


class RestCaller:
    """`Caller` over an HTTP exchange whose body is JSON. `read` comes first."""

    __slots__ = ("_answering", "_binary", "_exchange", "_in_turns", "body", "came_at", "client")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.client = exchange.connection
        self.came_at = exchange.came_at
        self._binary: BinaryOutputs | None = None
        self._in_turns: InTurns | None = None
        self.body: Body

    def read(self) -> Body:
        """Decode the body but for the values; raises a 400 `Fault`."""
        data = self._exchange.body
        body = parse_body(data)
        if len(data) >= turns.LENGTHY:
            self._in_turns = InTurns(partial(tensor_pieces, body.inputs))
        return self._take(body)

    def _take(self, body: Body) -> Body:
        if body.parameters or body.outputs:
            self._binary = binary_outputs(body)
        self.body = body
        return body

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a `Fault` (400, 413), or `Lengthy`."""
        if self._in_turns is not None:
            return self._in_turns.inputs(plan, key)
        return inputs_of_json(self.body.inputs, plan, key)

    def outputs(self, plan: Plan) -> tuple[int, ...] | None:
        """Positions of the outputs that were asked for, None for all; raises a 400 `Fault`."""
        wanted = self.body.outputs
        return wanted_outputs((each.name for each in wanted), plan) if wanted else None

    def answer(self, call: Call, values: Sequence[OutputValues], start: int) -> Send:
        """Encode the answer from the batch's rows `start` on; what is returned sends it."""
        if self._binary is not None:
            size, parts = self._binary.answer(call, values, start)
            headers = binary_headers(call, size)
            return partial(self._exchange.respond, 200, b"".join(parts), headers)
        if call.rows > turns.TURN_CELLS:
            return partial(self._answer_in_turns, call, values, start)
        headers, body = answer(call, values, start)
        return partial(self._exchange.respond, 200, body, headers)

    def _answer_in_turns(self, call: Call, values: Sequence[OutputValues], start: int) -> None:
        """Encode and send an answer of many rows, while others are answered."""
        parts = answer_parts(call, values, start)
        send = partial(self._exchange.respond, 200)
        self._answering = turns.sent_in_turns(parts, send, answer_headers(call))

    def refuse(self, call: Call, fault: Fault) -> Send:
        """Encode a refusal that names release and request; what is returned sends it."""
        return partial(self._exchange.refuse, fault, call_headers(call))

    def told(self, code: int) -> dict[str, str | int]:
        """The attributes of an answer over HTTP."""
        return {"http.request.method": "POST", "http.response.status_code": code}


class BinaryCaller(RestCaller):
    """The same with tensors as bytes behind `json_size` bytes of JSON, or without any JSON."""

    __slots__ = ("_json_size", "_tensors")

    def __init__(self, exchange: Exchange, json_size: int) -> None:
        super().__init__(exchange)
        self._json_size = json_size
        self._tensors: list[AnyTensor] = []

    def read(self) -> Body:
        """Decode the JSON of the body, and find the tensors; raises a 400 `Fault`."""
        if not self._json_size:
            body = self._take(Body([]))
            self._binary = _EVERYTHING
            return body
        body, self._tensors = parse_binary(self._exchange.body, self._json_size)
        if self._json_size >= turns.LENGTHY and len(self._exchange.body) == self._json_size:
            self._in_turns = InTurns(partial(tensor_pieces, body.inputs))
        return self._take(body)

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a `Fault` (400, 413), or `Lengthy`."""
        if self._in_turns is not None:
            return self._in_turns.inputs(plan, key)
        if not self._json_size:
            return inputs_of([lone_tensor(plan, self._exchange.body)], RAW, plan, None)
        return inputs_of(self._tensors, MIXED, plan, key)


def binary_headers(call: Call, json_size: int) -> bytes:
    """The header lines of an answer with binary tensors."""
    return (
        b"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\n%b"
        % (json_size, call_headers(call))
    )
