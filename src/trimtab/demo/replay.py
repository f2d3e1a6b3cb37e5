"""The replay: the world's requests and labels, sent as fast as the event clock lets them happen."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter

import msgspec

from trimtab import errors
from trimtab.demo.connection import Address, Line
from trimtab.demo.gate import Gate
from trimtab.demo.ledger import OK, Ledger
from trimtab.demo.options import DEPLOYMENT, Pace
from trimtab.demo.world import Delivery, Request, World

_LABEL_SECONDS = 300.0
"""Labels are the truth about everything: they are sent again for as long as anybody would wait."""


class _Accepted(msgspec.Struct):
    accepted: int = 0


_accepted = msgspec.json.Decoder(_Accepted).decode


@dataclass(frozen=True, slots=True)
class Replay:
    """What is replayed, where to, by which clock, and the book that is kept of it."""

    world: World
    gate: Gate
    ledger: Ledger
    inference: Address
    pace: Pace

    async def run(self, end: float) -> None:
        """Send every request and then let the clock reach `end`, labels delivered as they land.

        Raises `Permanent` TT-901 when labels were refused."""
        waiting = self.world.bodies()
        path = f"/v2/models/{DEPLOYMENT}"
        infer = self.inference.head("POST", f"{path}/infer")
        feedback = self.inference.head("POST", f"{path}/feedback")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._label(feedback, end))
            async with asyncio.TaskGroup() as lanes:
                for _ in range(self.pace.connections):
                    lanes.create_task(self._lane(infer, waiting))
            self.gate.finish(end)

    async def _lane(self, head: bytes, waiting: Iterator[Request]) -> None:
        """Send whatever is next, one request at a time."""
        with closing(Line(self.inference)) as line:
            for request in waiting:
                await self.gate.enter(request.time)
                sent = perf_counter()
                reply = await line.call(head, request.body, self.pace.deadline_seconds)
                self.ledger.answered(request, reply, perf_counter() - sent)

    async def _label(self, head: bytes, end: float) -> None:
        """Deliver labels one after another, in the order of landing, once they are known."""
        with closing(Line(self.inference)) as line:
            for delivery in self.world.deliveries(end, self.pace.label_minutes):
                await self.gate.reached(delivery.due)
                accepted = await self._deliver(line, head, delivery)
                self.ledger.labelled(delivery.count, accepted)

    async def _deliver(self, line: Line, head: bytes, delivery: Delivery) -> int:
        reply = await line.call(head, delivery.body, _LABEL_SECONDS)
        if reply.status == OK:
            return _accepted(reply.body).accepted
        raise errors.Permanent(
            errors.REQUEST_FAILED,
            "deliver labels",
            DEPLOYMENT,
            f"status {reply.status}: {reply.body[:200].decode(errors='replace')}",
            unchanged="labels accepted so far are kept",
            hint=f"trimtab status {DEPLOYMENT}",
        )
