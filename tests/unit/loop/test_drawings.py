"""Requests that show an incident are drawn beside the loop: a slow log holds no tick."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import Bench, at, canary, stable
from tests.unit.loop.test_observer_incidents import failing, incident, shown_ids

from trimtab.backends.memory import VirtualClock
from trimtab.domain.verdicts import Incident, Shown
from trimtab.judge.reports import GuardReport, MonitorReport
from trimtab.loop.drawings import PATIENCE, Draw, Drawings
from trimtab.loop.evidence import Reports
from trimtab.loop.observer import Observer
from trimtab.loop.samples import Told

SLOW = 30.0
"""Seconds that the log takes to be read."""
FOUND = msgspec.structs.replace(incident("i1"), verdicts=(failing(),))


class Slow:
    """An observer over a log that takes its time, and the ticks that look at it."""

    def __init__(self, bench: Bench, clock: VirtualClock) -> None:
        self.clock = clock
        self.bench = bench
        self.begun: list[float] = []
        self.observer: Observer = bench.observer()
        self.observer._drawings = Drawings(clock, self._slowly)

    async def _slowly(self, draw: Draw) -> Told:
        self.begun.append(self.clock.monotonic())
        await self.clock.sleep(SLOW)
        return draw()

    async def tick(self) -> tuple[Reports, float]:
        """What is reported, and the seconds that it took."""
        began = self.clock.monotonic()
        task = asyncio.ensure_future(self.observer.report("flights"))
        await self.clock.advance(0.0)
        while not task.done():
            await self.clock.advance(PATIENCE / 2.0)
        return task.result(), self.clock.monotonic() - began

    def news(self, *opened: Incident) -> None:
        """Let the monitors report incidents in the next tick."""
        self.bench.tapes.monitors.reports = [MonitorReport((), opened=opened)]

    def recorded(self, *incidents: Incident) -> None:
        """They are in the journal."""
        self.observer.settled("flights")
        self.observer.follow(stable(incidents=incidents), {})


def run(bench: Bench, story: Callable[[Slow], Coroutine[Any, Any, None]]) -> None:
    """Tell a story of a slow log, on virtual time."""

    async def work() -> None:
        await story(Slow(bench, VirtualClock()))

    asyncio.run(work())


@pytest.fixture(autouse=True)
def failures(writer: SegmentWriter) -> None:
    """Requests that fail."""
    mine: dict[str, Any] = {"rollout": "ro-1", "release": "sha256:bb", "outcome": "failed"}
    writer.rows(at("r1", outcome="failed"), at("c1", mode="canary", **mine), at("fine"))


def test_a_slow_log_holds_a_tick_for_a_moment_and_its_requests_are_added_later(
    bench: Bench,
) -> None:
    async def story(slow: Slow) -> None:
        slow.observer.follow(stable(), {})
        slow.observer.poll()
        slow.news(FOUND)
        told, took = await slow.tick()
        assert told.monitors is not None
        assert (told.monitors.opened, took) == ((FOUND,), PATIENCE)
        slow.recorded(FOUND)
        assert await slow.tick() == (Reports(None, MonitorReport(())), 0.0)
        await slow.clock.advance(SLOW)
        told, took = await slow.tick()
        assert told.monitors is not None
        (late,) = told.monitors.updated
        assert (shown_ids(late.shown), took) == ([["r1"]], 0.0)
        slow.recorded(late)
        assert await slow.tick() == (Reports(None, MonitorReport(())), 0.0)
        assert len(slow.begun) == 1

    run(bench, story)


def test_news_that_could_not_be_recorded_comes_again_with_the_requests_drawn_meanwhile(
    bench: Bench,
) -> None:
    async def story(slow: Slow) -> None:
        slow.observer.follow(stable(), {})
        slow.observer.poll()
        slow.news(FOUND)
        await slow.tick()
        await slow.clock.advance(SLOW)
        told, took = await slow.tick()
        assert told.monitors is not None
        assert (shown_ids(told.monitors.opened[0].shown), took) == ([["r1"]], 0.0)
        assert len(slow.begun) == 1

    run(bench, story)


def test_one_is_drawn_at_a_time_and_all_of_them_hold_a_tick_no_longer_than_one(
    bench: Bench,
) -> None:
    async def story(slow: Slow) -> None:
        slow.observer.follow(stable(), {})
        slow.observer.poll()
        others = [msgspec.structs.replace(FOUND, id=f"i{number}") for number in (2, 3)]
        slow.news(FOUND, *others)
        _, took = await slow.tick()
        assert took == PATIENCE
        slow.recorded(FOUND, *others)
        await slow.clock.advance(3.0 * SLOW)
        told, _ = await slow.tick()
        assert told.monitors is not None
        assert {each.id for each in told.monitors.updated} == {"i1", "i2", "i3"}
        assert [at - slow.begun[0] for at in slow.begun] == [0.0, SLOW, 2.0 * SLOW]

    run(bench, story)


def test_an_incident_that_changes_keeps_its_requests_until_others_are_drawn(bench: Bench) -> None:
    async def story(slow: Slow) -> None:
        slow.observer.follow(stable(), {})
        slow.observer.poll()
        old = Shown(signal="quality", said="as it was", of=3)
        recorded = msgspec.structs.replace(FOUND, shown=(old,))
        slow.recorded(recorded)
        worse = msgspec.structs.replace(FOUND, signals=("quality", "errors"))
        bench.tapes.monitors.reports = [MonitorReport((), updated=(worse,))]
        told, _ = await slow.tick()
        assert told.monitors is not None
        (updated,) = told.monitors.updated
        assert (updated.signals, updated.shown) == (worse.signals, (old,))
        slow.recorded(updated)
        await slow.clock.advance(SLOW)
        told, _ = await slow.tick()
        assert told.monitors is not None
        assert shown_ids(told.monitors.updated[0].shown) == [["r1"]]

    run(bench, story)


def test_an_incident_that_is_over_gets_no_requests_any_more(bench: Bench) -> None:
    async def story(slow: Slow) -> None:
        slow.observer.follow(stable(), {})
        slow.observer.poll()
        slow.news(FOUND)
        await slow.tick()
        slow.recorded()
        await slow.clock.advance(SLOW)
        assert await slow.tick() == (Reports(None, MonitorReport(())), 0.0)

    run(bench, story)


def test_a_slow_log_keeps_no_rollback_back(bench: Bench) -> None:
    async def story(slow: Slow) -> None:
        slow.observer.follow(canary(), {})
        slow.observer.poll()
        bench.tapes.guard.says = GuardReport("bad", "unknown", (failing(),))
        told, took = await slow.tick()
        assert told.guard is not None
        assert (told.guard.verdict, told.guard.shown, took) == ("bad", (), PATIENCE)
        await slow.clock.advance(SLOW)
        told, took = await slow.tick()
        assert told.guard is not None
        assert (shown_ids(told.guard.shown), took) == ([["c1"]], 0.0)

    run(bench, story)


def test_what_is_drawn_is_read_by_another_thread() -> None:
    async def work() -> int:
        drawings = Drawings(VirtualClock())
        await drawings.begin({("d", "i1"): lambda: Told(rows=threading.get_ident())})
        told = drawings.of(("d", "i1"))
        assert told is not None
        return told.rows

    assert asyncio.run(work()) != threading.get_ident()


def test_a_drawing_that_fails_in_any_way_keeps_no_incident_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(draw: Draw) -> Told:
        raise ValueError("no such column")

    async def story(slow: Slow) -> None:
        slow.observer._drawings = Drawings(slow.clock, broken)
        slow.observer.follow(stable(), {})
        slow.news(FOUND)
        told, took = await slow.tick()
        assert told.monitors is not None
        assert (told.monitors.opened, took) == ((FOUND,), 0.0)
        assert "no such column" in caplog.text

    run(bench, story)
