"""Refusals leave at once while they are few, and in order at a rate when they are many."""

import asyncio
import time
from functools import partial

from tests.unit.gateway.scenarios import run
from tests.unit.gateway.support import until

from trimtab.gateway.pacing import Pacer


def test_a_burst_leaves_at_once_and_the_rest_in_order_at_the_rate() -> None:
    async def scenario() -> None:
        left: list[int] = []
        pacer = Pacer(lambda: 500.0, burst=10.0)
        begun = time.monotonic()
        for number in range(40):
            pacer.give(partial(left.append, number))
        assert left[:10] == list(range(10))
        assert len(left) + len(pacer) == 40
        await until(lambda: len(left) == 40)
        assert left == list(range(40))
        assert time.monotonic() - begun >= 29 / 500.0
        await asyncio.sleep(0)

    run(scenario)


def test_one_that_cannot_leave_does_not_keep_the_others() -> None:
    def broken() -> None:
        raise RuntimeError("the transport is closed")

    async def scenario() -> None:
        left: list[int] = []
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(context["exception"])
        )
        pacer = Pacer(lambda: 1000.0, burst=1.0)
        pacer.give(partial(left.append, 0))
        pacer.give(broken)
        pacer.give(partial(left.append, 1))
        await until(lambda: left == [0, 1])
        assert len(told) == 1

    run(scenario)


def test_the_rate_is_the_present_one() -> None:
    async def scenario() -> None:
        left: list[int] = []
        rate = 0.0
        pacer = Pacer(lambda: rate, burst=1.0)
        for number in range(3):
            pacer.give(partial(left.append, number))
        await asyncio.sleep(0.05)
        assert left == [0]
        rate = 1000.0
        await until(lambda: left == [0, 1, 2])

    run(scenario)
