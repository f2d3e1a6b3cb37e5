"""A caller that speaks the Open Inference Protocol in JSON over HTTP."""

from collections.abc import Sequence
from functools import partial

from trimtab.gateway.answers import answer_body, answer_headers, id_header
from trimtab.gateway.asked import wanted_outputs
from trimtab.gateway.call import Call, Send
from trimtab.gateway.faults import Fault
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.json_inputs import inputs_of_json
from trimtab.gateway.oip import Body
from trimtab.gateway.plan import Plan
from trimtab.gateway.values import Inputs, OutputValues


class RestCaller:
    """`Caller` over an HTTP exchange. `body` is set once it could be decoded."""

    __slots__ = ("_exchange", "body")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.body: Body

    @property
    def gone(self) -> bool:
        """Whether the client has closed its connection."""
        return self._exchange.abandoned

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a 400 `Fault`."""
        return inputs_of_json(self.body.inputs, plan, key)

    def outputs(self, plan: Plan) -> tuple[int, ...] | None:
        """Positions of the outputs that were asked for, None for all; raises a 400 `Fault`."""
        wanted = self.body.outputs
        return wanted_outputs((each.name for each in wanted), plan) if wanted else None

    def answer(self, call: Call, values: Sequence[OutputValues], start: int) -> Send:
        """Encode the answer from the batch's rows `start` on; what is returned sends it."""
        body = answer_body(call, values, start)
        return partial(
            self._exchange.respond, 200, body, answer_headers(call.plan, call.request_id)
        )

    def refuse(self, call: Call, fault: Fault) -> Send:
        """Encode a refusal that names release and request; what is returned sends it."""
        headers = call.plan.headers + id_header(call.request_id)
        return partial(self._exchange.refuse, fault, headers)
