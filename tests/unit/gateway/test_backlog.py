"""Requests are begun together, and those that one pass has no time for wait."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from tests.unit.gateway.scenarios import run
from tests.unit.gateway.support import until

from trimtab.gateway import backlog as backlogs
from trimtab.gateway.backlog import Backlog


def _busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Begun(list[list[int]]):
    """What was begun together."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.begin = self._begin

    def _begin(self, numbers: Sequence[int]) -> None:
        self.append(list(numbers))
        _busy(self.seconds)

    @property
    def flat(self) -> list[int]:
        """All of it, in order."""
        return [number for numbers in self for number in numbers]


def test_what_one_turn_of_the_loop_brings_is_begun_together() -> None:
    async def scenario() -> None:
        begun = Begun()
        backlog = Backlog(pass_seconds=60.0)
        for number in range(3):
            backlog.give(begun.begin, number, 10)
        assert begun == []
        assert len(backlog) == 3
        await asyncio.sleep(0)
        assert begun == [[0, 1, 2]]
        assert len(backlog) == 0
        assert not backlog.behind

    run(scenario)


def test_what_is_of_different_kinds_is_begun_in_order() -> None:
    async def scenario() -> None:
        begun, of_others = Begun(), Begun()
        backlog = Backlog(pass_seconds=60.0)
        for number, kind in enumerate((begun, begun, of_others, begun)):
            backlog.give(kind.begin, number, 10)
        await asyncio.sleep(0)
        assert begun == [[0, 1], [3]]
        assert of_others == [[2]]

    run(scenario)


def test_long_bodies_and_many_requests_are_not_begun_in_one_go() -> None:
    async def scenario() -> None:
        begun = Begun()
        backlog = Backlog(pass_seconds=60.0)
        for number in range(3):
            backlog.give(begun.begin, number, backlogs.TOGETHER_BYTES)
        await asyncio.sleep(0)
        assert begun == [[0], [1], [2]]
        for number in range(backlogs.TOGETHER + 1):
            backlog.give(begun.begin, number, 1)
        await asyncio.sleep(0)
        assert [len(numbers) for numbers in begun[3:]] == [backlogs.TOGETHER, 1]

    run(scenario)


def test_what_a_pass_has_no_time_for_waits_and_is_begun_in_order() -> None:
    async def scenario() -> None:
        begun = Begun(0.002)
        backlog = Backlog(pass_seconds=0.001)
        for number in range(5):
            backlog.give(begun.begin, number, backlogs.TOGETHER_BYTES)
        await asyncio.sleep(0)
        assert begun == [[0]]
        assert len(backlog) == 4
        assert backlog.behind
        await until(lambda: len(begun) == 5)
        assert begun.flat == [0, 1, 2, 3, 4]
        assert not backlog.behind

    run(scenario)


def test_other_work_of_the_loop_goes_between_two_passes() -> None:
    async def scenario() -> None:
        begun = Begun()
        backlog = Backlog(pass_seconds=0.0)
        for number in range(4):
            backlog.give(begun.begin, number, backlogs.TOGETHER_BYTES)
        for passes in range(1, 5):
            await asyncio.sleep(0)
            assert len(begun) <= passes
        await until(lambda: begun.flat == [0, 1, 2, 3])

    run(scenario)


def test_a_request_does_not_overtake_those_that_wait() -> None:
    async def scenario() -> None:
        begun = Begun()
        backlog = Backlog(pass_seconds=0.0)
        backlog.give(begun.begin, 0, backlogs.TOGETHER_BYTES)
        backlog.give(begun.begin, 1, backlogs.TOGETHER_BYTES)
        await asyncio.sleep(0)
        backlog.give(begun.begin, 2, 10)
        await until(lambda: begun.flat == [0, 1, 2])

    run(scenario)


def test_bodies_beyond_what_may_wait_are_begun_at_once() -> None:
    async def scenario() -> None:
        begun = Begun()
        backlog = Backlog()
        backlog.give(begun.begin, 0, backlogs.MOST_BYTES)
        backlog.give(begun.begin, 1, 1)
        assert begun == [[1]]
        await until(lambda: begun == [[1], [0]])
        backlog.give(begun.begin, 2, 1)
        assert begun == [[1], [0]]
        await until(lambda: begun == [[1], [0], [2]])

    run(scenario)


def test_steps_follow_what_came_before_the_end_of_the_pass() -> None:
    async def scenario() -> None:
        done: list[object] = []
        backlog = Backlog(pass_seconds=60.0)

        def begin(numbers: Sequence[int]) -> None:
            backlog.after(lambda _: done.append(f"after {numbers}"))
            done.append(numbers)

        def step(_: float) -> None:
            done.append("step")
            backlog.after(lambda _: done.append("its own step"))

        before = time.monotonic()
        backlog.after(step)
        backlog.after(lambda opened: done.append(before <= opened <= time.monotonic()))
        backlog.give(begin, 1, 1)
        await asyncio.sleep(0)
        assert done == [[1], "step", True, "after [1]", "its own step"]

    run(scenario)


def test_a_step_that_fails_holds_up_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        begun, done = Begun(), list[float]()
        backlog = Backlog(pass_seconds=0.0)

        def fail(_: float) -> None:
            raise ValueError("a bug")

        backlog.after(fail)
        backlog.after(done.append)
        for number in range(2):
            backlog.give(begun.begin, number, backlogs.TOGETHER_BYTES)
        await until(lambda: begun.flat == [0, 1] and len(done) == 1)

    run(scenario)
    assert "a bug" in caplog.text


def test_a_pass_knows_the_time_of_day() -> None:
    async def scenario() -> None:
        backlog = Backlog()
        backlog.epoch = 0.0
        backlog.after(lambda _: None)
        await asyncio.sleep(0)
        assert backlog.epoch + time.monotonic() == pytest.approx(time.time(), abs=1.0)

    run(scenario)


def test_what_is_last_comes_after_all_that_the_pass_asked_for() -> None:
    async def scenario() -> None:
        done: list[str] = []
        backlog = Backlog()

        def begin(numbers: Sequence[int]) -> None:
            done.append("begun")
            backlog.after(lambda _: done.append("queued"))

        backlog.last(lambda _: done.append("given out"))
        backlog.give(begin, 1, 10)
        backlog.after(lambda _: backlog.last(lambda _: done.append("given out too")))
        await until(lambda: len(done) == 4)
        assert done == ["begun", "queued", "given out", "given out too"]

    run(scenario)


def test_a_step_that_fails_costs_no_other_step() -> None:
    async def scenario() -> None:
        done: list[str] = []
        backlog = Backlog()
        asyncio.get_running_loop().set_exception_handler(lambda *_: done.append("failed"))

        def fail(_: float) -> None:
            raise ValueError("boom")

        backlog.after(fail)
        backlog.last(lambda _: done.append("given out"))
        await until(lambda: "given out" in done)
        assert done == ["failed", "given out"]

    run(scenario)
