"""An event loop whose thread rests between two waits."""

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest

from trimtab.backends.breath import Breath
from trimtab.backends.pace import Pace


@pytest.fixture(autouse=True)
def _alarm_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


class Rests(list[float]):
    """How long was rested; each rest takes no time."""

    def breath(self) -> Breath:
        return Breath(Pace(0.5, 0.001, sleep=self.append))


def work(until: Rests, count: int) -> None:
    """On and on, until `count` rests were taken."""
    end = time.monotonic() + 10.0
    while len(until) < count and time.monotonic() < end:
        pass


def test_work_that_knows_nothing_of_time_rests_again_and_again() -> None:
    rests = Rests()
    breath = rests.breath()

    async def main() -> None:
        breath.start()
        await asyncio.sleep(0)
        work(rests, 3)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(breath)) as runner:
        runner.run(main())
    assert len(rests) >= 3
    assert min(rests) >= 0.001


def test_nothing_rests_before_it_is_started() -> None:
    rests = Rests()
    breath = rests.breath()

    async def main() -> None:
        await asyncio.sleep(0)
        work(rests, 0)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(breath)) as runner:
        runner.run(main())
    assert rests == []


def test_while_the_loop_waits_no_timer_runs() -> None:
    timers: list[float] = []

    def worked() -> float:
        timers.append(signal.getitimer(signal.ITIMER_REAL)[0])
        return 0.0

    breath = Breath(Pace(0.5, 10.0, worked=worked))
    breath.start()
    breath.select(0.0)
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0.0
    timers.clear()
    breath.select(0.0)
    assert timers == [0.0]
    breath.close()


def test_an_alarm_that_comes_late_changes_nothing() -> None:
    rests = Rests()
    breath = rests.breath()
    breath.start()
    signal.raise_signal(signal.SIGALRM)
    assert rests == []
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    breath.close()


def test_no_timer_outlives_the_loop() -> None:
    breath = Rests().breath()
    breath.start()
    breath.select(0.0)
    breath.close()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
