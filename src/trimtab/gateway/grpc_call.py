"""A caller that speaks the Open Inference Protocol over gRPC."""

from collections.abc import Sequence
from functools import partial

from trimtab.gateway.asked import wanted_outputs
from trimtab.gateway.call import Call, Send
from trimtab.gateway.faults import Fault
from trimtab.gateway.grpc_exchange import Exchange
from trimtab.gateway.grpc_messages import InferRequest, infer_response
from trimtab.gateway.grpc_status import status_of_code
from trimtab.gateway.plan import Plan
from trimtab.gateway.raw_inputs import RAW
from trimtab.gateway.tensors import inputs_of
from trimtab.gateway.values import Inputs, OutputValues


class GrpcCaller:
    """`Caller` over an exchange of gRPC."""

    __slots__ = ("_exchange", "_request", "came_at", "client")

    def __init__(self, exchange: Exchange, request: InferRequest) -> None:
        self._exchange = self.client = exchange
        self.came_at = exchange.came_at
        self._request = request

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a 400 `Fault`."""
        return inputs_of(self._request.tensors, RAW, plan, key)

    def outputs(self, plan: Plan) -> tuple[int, ...] | None:
        """Positions of the outputs that were asked for, None for all; raises a 400 `Fault`."""
        wanted = self._request.outputs
        return wanted_outputs(wanted, plan) if wanted else None

    def answer(self, call: Call, values: Sequence[OutputValues], start: int) -> Send:
        """Encode the answer from the batch's rows `start` on; what is returned sends it."""
        message = infer_response(call, values, start, self._request.raw)
        return partial(self._exchange.respond, message, call.plan.name, call.request_id)

    def refuse(self, call: Call, fault: Fault) -> Send:
        """A refusal that names release and request; what is returned sends it."""
        return partial(self._exchange.refuse, fault, call.plan.name, call.request_id)

    def told(self, code: int) -> dict[str, str | int]:
        """The attributes of an answer over gRPC."""
        return {"rpc.system": "grpc", "rpc.grpc.status_code": int(status_of_code(code))}
