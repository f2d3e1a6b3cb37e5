"""A clock that leaps: labels had no time in it to come."""

import msgspec
import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import SPEC, Bench, at, stable, told

from trimtab.domain.deployment import MonitorPlan
from trimtab.loop.leaps import LEAP, Leaps

HOUR = 3600.0
AWAITED = 10 * HOUR


def seen(*looks: tuple[float, float]) -> float:
    """By how much the clock is ahead after looks at it and at the time that passed."""
    leaps, ahead = Leaps(), 0.0
    for now, passed in looks:
        ahead = leaps.look(now, passed, AWAITED)
    return ahead


@pytest.mark.parametrize(
    ("looks", "ahead"),
    [
        (((0.0, 0.0),), 0.0),
        (((0.0, 0.0), (HOUR, HOUR)), 0.0),
        (((0.0, 0.0), (HOUR + LEAP, HOUR)), 0.0),
        (((0.0, 0.0), (5 * HOUR, HOUR)), 4 * HOUR),
        (((0.0, 0.0), (5 * HOUR, HOUR), (9 * HOUR, 2 * HOUR)), 7 * HOUR),
        (((0.0, 0.0), (5 * HOUR, HOUR), (3 * HOUR, 2 * HOUR)), HOUR),
        (((0.0, 0.0), (5 * HOUR, HOUR), (9 * HOUR, 2 * HOUR), (4 * HOUR, 3 * HOUR)), HOUR),
        (((0.0, 0.0), (5 * HOUR, HOUR), (2 * HOUR, 2 * HOUR)), 0.0),
        (((9 * HOUR, 0.0), (HOUR, HOUR), (2 * HOUR, 2 * HOUR)), 0.0),
    ],
)
def test_the_clock_is_ahead_by_what_it_leapt_and_did_not_take_back(
    looks: tuple[tuple[float, float], ...], ahead: float
) -> None:
    assert seen(*looks) == ahead


def test_a_leap_is_over_when_labels_have_had_their_time_since() -> None:
    leapt = (0.0, 0.0), (5 * HOUR, HOUR)
    assert seen(*leapt, (14 * HOUR, 10 * HOUR)) == 4 * HOUR
    assert seen(*leapt, (15 * HOUR, 11 * HOUR)) == 0.0


SLOW = msgspec.structs.replace(SPEC, clock="wall", monitor=MonitorPlan(maturity_seconds=AWAITED))


def test_monitors_are_told_of_time_that_did_not_pass(bench: Bench) -> None:
    observer = bench.observer()
    observer.follow(stable(SLOW), {})
    told(observer)
    bench.clock.leapt = 4 * HOUR
    told(observer)
    bench.clock.leapt = 0.0
    told(observer)
    around = [surroundings.ahead for _, _, surroundings in bench.tapes.monitors.seen]
    assert around == [0.0, 4 * HOUR, 4 * HOUR]


def test_a_clock_of_events_is_not_the_hosts(bench: Bench) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    told(observer)
    bench.clock.leapt = 4 * HOUR
    told(observer)
    assert [each.ahead for _, _, each in bench.tapes.monitors.seen] == [0.0, 0.0]


def test_a_prediction_waits_for_its_label_whatever_the_clock_says(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(SLOW), {})
    writer.rows(at("a", received_at=bench.clock.now()))
    observer.poll()
    bench.clock.leapt = 100 * AWAITED
    writer.rows(at("b", received_at=bench.clock.now()))
    observer.poll()
    writer.labels({"request_id": "a", "label": "1", "at": bench.clock.now()})
    observer.poll()
    assert bench.tapes.monitors.labels == [("a", "1")]
