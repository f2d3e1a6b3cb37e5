"""A watched gap: alarm, recovery, interval, reach."""

import msgspec
import numpy as np
import pytest

from trimtab.judge.gaps import Block, Expected, GapWatch, gap_watch
from trimtab.judge.groups import Sums
from trimtab.judge.watch import Zone
from trimtab.stats.fixed_point import MICRO

DAY = 86_400.0
ZONE = Zone(-0.05, 0.05)


def part(hits: float, n: int, promised: float = 0.0) -> Sums:
    """Sums as they are counted."""
    return Sums(round(hits * MICRO), round(promised * MICRO), n)


def begun(threshold: float = 3.0, day_variance: float = 0.0) -> GapWatch:
    """A watch of two rates that are expected to be .4."""
    return gap_watch(ZONE, day_variance, Expected.of(0.4, 0.4), threshold)


def live(
    watch: GapWatch, gap: float, first: int, days: int, n: int = 200, base: float = 0.4
) -> None:
    """Days in which the rates are exactly that far apart."""
    for day in range(first, first + days):
        watch.take(Block(day * DAY, part((base + gap) * n, n), part(base * 4 * n, 4 * n)))


def test_a_gap_inside_its_zone_is_no_alarm_however_the_base_rate_moves() -> None:
    watch = begun()
    for day in range(200):
        live(watch, 0.02, day, 1, base=0.4 + 0.3 * np.sin(day / 9.0))
    assert not watch.bad
    assert watch.watch.log10_evidence < 0.5
    assert watch.shown.interval.lower < 0.02 < watch.shown.interval.upper


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_gap_that_opens_alarms_and_is_shown_from_where_it_opened(side: float) -> None:
    watch = begun()
    live(watch, 0.0, 0, 30)
    live(watch, 0.25 * side, 30, 3)
    assert watch.bad
    assert watch.watch.since == 30 * DAY
    assert watch.shown.mean == pytest.approx(0.25 * side, abs=1e-6)
    assert abs(watch.whole.mean) < 0.1


def test_it_ends_by_evidence_that_the_gap_is_back() -> None:
    watch = begun()
    live(watch, 0.25, 0, 5)
    live(watch, 0.25, 5, 5)
    assert watch.bad
    live(watch, 0.0, 10, 30)
    assert watch.watch.since is None
    assert abs(watch.shown.mean) < 1e-6


def test_days_that_differ_by_themselves_make_a_block_worth_less() -> None:
    sure, unsure = begun(), begun(day_variance=0.01)
    for watch in (sure, unsure):
        live(watch, 0.12, 0, 4)
    assert unsure.watch.log10_evidence < sure.watch.log10_evidence
    assert unsure.whole.weight < sure.whole.weight


def test_what_was_promised_of_each_group_is_taken_out() -> None:
    watch = begun()
    for day in range(40):
        watch.take(Block(day * DAY, part(120.0, 200, 120.0), part(320.0, 800, 320.0)))
    assert not watch.bad
    assert watch.shown.mean == pytest.approx(0.0, abs=1e-9)


def test_a_block_without_rows_on_a_side_says_nothing() -> None:
    watch = begun()
    watch.take(Block(0.0, part(0.0, 0), part(3.0, 10)))
    watch.take(Block(0.0, part(3.0, 10), part(0.0, 0)))
    assert watch.whole.blocks == 0
    assert watch.reach(0.0) is None


def test_its_state_goes_on_to_the_bit() -> None:
    straight, broken = begun(), begun()
    for day in range(20):
        for watch in (straight, broken):
            live(watch, 0.2 * (day > 5), day, 1)
        broken = msgspec.msgpack.decode(msgspec.msgpack.encode(broken), type=GapWatch)
    assert msgspec.msgpack.encode(broken) == msgspec.msgpack.encode(straight)


def test_the_gap_that_it_says_to_see_within_a_day_alarms_within_about_that() -> None:
    watch = begun()
    live(watch, 0.0, 0, 10, n=2000)
    seen = watch.reach(0.0)
    assert seen is not None
    assert seen.seconds == DAY
    assert 0.05 < seen.effect < 0.3
    live(watch, seen.effect, 10, 2, n=2000)
    assert watch.bad


def test_with_less_traffic_it_names_a_longer_time_or_none() -> None:
    few, fewer = begun(), begun()
    live(few, 0.0, 0, 10, n=6)
    for month in range(2):
        live(fewer, 0.0, 60 * month, 1, n=1)
    seen = few.reach(0.0)
    assert seen is not None
    assert seen.seconds > DAY
    assert fewer.reach(0.0) is None


def test_blocks_farther_apart_than_the_horizon_reach_only_to_the_next() -> None:
    watch = begun()
    for week in range(3):
        watch.take(Block(week * 7 * DAY, part(800.0, 2000), part(800.0, 2000)))
    seen = watch.reach(0.0)
    assert seen is not None
    assert seen.seconds == 7 * DAY
