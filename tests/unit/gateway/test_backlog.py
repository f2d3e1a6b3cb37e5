"""Requests that come faster than one pass of the event loop can begin them."""

import asyncio
import time

from tests.unit.gateway.scenarios import run
from tests.unit.gateway.support import until

from trimtab.gateway import backlog as backlogs
from trimtab.gateway.backlog import Backlog


def _busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_request_is_begun_at_once_while_the_pass_has_time() -> None:
    async def scenario() -> None:
        begun: list[int] = []
        backlog = Backlog(pass_seconds=60.0)
        for number in range(3):
            backlog.give(begun.append, number, 10)
        assert begun == [0, 1, 2]
        assert len(backlog) == 0
        await asyncio.sleep(0)

    run(scenario)


def test_what_a_pass_has_no_time_for_waits_and_is_begun_in_order() -> None:
    async def scenario() -> None:
        begun: list[int] = []

        def begin(number: int) -> None:
            begun.append(number)
            _busy(0.002)

        backlog = Backlog(pass_seconds=0.001)
        for number in range(5):
            backlog.give(begin, number, 10)
        assert begun == [0]
        assert len(backlog) == 4
        await until(lambda: len(begun) == 5)
        assert begun == [0, 1, 2, 3, 4]
        await asyncio.sleep(0)

    run(scenario)


def test_other_work_of_the_loop_goes_between_two_passes() -> None:
    async def scenario() -> None:
        begun: list[int] = []
        backlog = Backlog(pass_seconds=0.0)
        for number in range(4):
            backlog.give(begun.append, number, 10)
        for passes in range(1, 5):
            await asyncio.sleep(0)
            assert len(begun) <= passes
        await until(lambda: begun == [0, 1, 2, 3])

    run(scenario)


def test_a_request_does_not_overtake_those_that_wait() -> None:
    async def scenario() -> None:
        begun: list[int] = []
        backlog = Backlog(pass_seconds=0.0)
        backlog.give(begun.append, 0, 10)
        backlog.give(begun.append, 1, 10)
        await asyncio.sleep(0)
        backlog.give(begun.append, 2, 10)
        await until(lambda: begun == [0, 1, 2])

    run(scenario)


def test_bodies_beyond_what_may_wait_are_begun_at_once() -> None:
    async def scenario() -> None:
        begun: list[int] = []
        backlog = Backlog(pass_seconds=0.0)
        backlog.give(begun.append, 0, backlogs.MOST_BYTES)
        backlog.give(begun.append, 1, 1)
        assert begun == [1]
        await until(lambda: begun == [1, 0])
        backlog.give(begun.append, 2, 1)
        assert begun == [1, 0]
        await until(lambda: begun == [1, 0, 2])

    run(scenario)
