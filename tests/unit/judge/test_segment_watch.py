"""Many segments watched as one: alarm, which segment it is, and recovery."""

import numpy as np
import pytest

from trimtab.judge.segment_watch import Borders, Part, SegmentWatch

DAY = 86_400.0
SEGMENTS, ROWS = 12, 40
THRESHOLD = 3.0
USUAL = 0.2


def borders(variance: float = 0.0) -> Borders:
    """Segments that lose as much as the others, of which .06 more does no harm."""
    same = np.full(SEGMENTS, USUAL)
    return Borders(same, same, np.full(SEGMENTS, 0.06), np.full(SEGMENTS, variance))


def live(
    watch: SegmentWatch,
    days: range,
    rates: dict[int, float] | None = None,
    base: float = USUAL,
    seed: int | None = None,
) -> None:
    """Days in which segments lose exactly as much, or, with a seed, as much as by chance."""
    rate = np.array([(rates or {}).get(place, base) for place in range(SEGMENTS)])
    for day in days:
        lost = rate * ROWS
        if seed is not None:
            lost = np.random.default_rng(seed + day).binomial(ROWS, rate).astype(float)
        n = np.full(SEGMENTS, float(ROWS))
        others = Part(n * 20, np.full(SEGMENTS, base * 20 * ROWS), n * 20 * base)
        watch.take(day * DAY, (Part(n, lost, n * USUAL), others), borders(), THRESHOLD)


def test_segments_that_are_no_worse_than_others_are_no_alarm_whatever_all_lose() -> None:
    watch = SegmentWatch()
    for day in range(200):
        live(watch, range(day, day + 1), base=0.3 + 0.2 * float(np.sin(day)), seed=1)
    assert not watch.harmed
    assert watch.evidence < 2.0


def test_the_one_that_gets_worse_is_told_from_when_it_did() -> None:
    watch = SegmentWatch()
    live(watch, range(30), seed=5)
    live(watch, range(30, 40), {4: 0.6})
    assert list(watch.harmed) == [4]
    harmed, seen = watch.harmed[4], watch.stretch(4)
    assert abs(harmed.since / DAY - 30) <= 2
    assert harmed.evidence >= THRESHOLD
    assert seen.lost / seen.n == pytest.approx(0.6, abs=0.06)
    assert seen.gap / seen.weight == pytest.approx(0.4, abs=0.06)
    assert seen.expected / seen.n == pytest.approx(USUAL)


def test_a_few_bad_blocks_are_no_alarm_however_bad() -> None:
    watch = SegmentWatch()
    live(watch, range(4), {4: 1.0})
    live(watch, range(4, 20))
    assert not watch.harmed
    live(watch, range(20, 27), {4: 1.0})
    assert list(watch.harmed) == [4]


def test_of_several_each_is_told_and_the_others_are_still_watched() -> None:
    watch = SegmentWatch()
    live(watch, range(10), {2: 0.6, 7: 0.6})
    assert set(watch.harmed) == {2, 7}
    live(watch, range(10, 25), {2: 0.6, 7: 0.6, 9: 0.5})
    assert set(watch.harmed) == {2, 7, 9}
    assert watch.harmed[9].since == 10 * DAY


def test_where_only_the_others_get_better_nobody_is_harmed() -> None:
    watch = SegmentWatch()
    live(watch, range(40), dict.fromkeys(range(SEGMENTS), USUAL), base=0.02)
    assert not watch.harmed
    assert watch.evidence > THRESHOLD
    live(watch, range(40, 50), {3: 0.4, **dict.fromkeys(range(3), USUAL)}, base=0.02)
    assert list(watch.harmed) == [3]


def test_an_alarm_ends_once_more_than_half_of_the_harm_is_gone_for_sure() -> None:
    watch = SegmentWatch()
    live(watch, range(10), {4: 0.6})
    live(watch, range(10, 30), {4: 0.5})
    assert watch.harmed
    live(watch, range(30, 45))
    assert not watch.harmed
    live(watch, range(45, 60), {4: 0.6})
    assert watch.harmed[4].since == 45 * DAY


def test_when_all_are_in_alarm_nothing_is_bet_on() -> None:
    watch = SegmentWatch()
    live(watch, range(30), dict.fromkeys(range(SEGMENTS), 0.7), base=0.2)
    assert len(watch.harmed) == SEGMENTS
    assert watch.evidence == 0.0


def test_a_segment_without_rows_keeps_what_is_known_of_it() -> None:
    watch = SegmentWatch()
    live(watch, range(2), {4: 0.45})
    held = watch.stretch(4)
    n = np.where(np.arange(SEGMENTS) == 4, 0.0, float(ROWS))
    others = Part(n + 20, (n + 20) * USUAL, n)
    watch.take(2 * DAY, (Part(n, n * USUAL, n), others), borders(), THRESHOLD)
    assert watch.stretch(4) == held
    assert watch.stretch(3).n > 0.0
    live(watch, range(3, 6), {4: 0.6})
    assert watch.harmed[4].since == held.start
    watch.take(9 * DAY, (Part(n, n * USUAL, n), others), borders(), THRESHOLD)
    assert list(watch.harmed) == [4]


def test_a_block_that_parts_nothing_says_nothing() -> None:
    watch, none = SegmentWatch(), np.zeros(SEGMENTS)
    watch.take(0.0, (Part(none, none, none), Part(none + 9, none, none)), borders(), THRESHOLD)
    assert watch == SegmentWatch()


def test_where_days_differ_a_day_is_worth_less() -> None:
    calm, moody = SegmentWatch(), SegmentWatch()
    n = np.full(SEGMENTS, float(ROWS))
    lost = n * np.where(np.arange(SEGMENTS) == 4, 0.6, USUAL)
    parts = Part(n, lost, n * USUAL), Part(n * 20, n * 20 * USUAL, n)
    for day in range(3):
        calm.take(day * DAY, parts, borders(), 9.0)
        moody.take(day * DAY, parts, borders(0.04), 9.0)
    assert moody.evidence < calm.evidence / 3.0


def test_the_rise_that_it_says_to_see_alarms_within_about_that_time() -> None:
    """In the middle one of the segments, which here are all alike."""
    delays = []
    for seed in range(0, 9000, 1000):
        watch = SegmentWatch()
        live(watch, range(12), seed=seed)
        seen = watch.reach(borders(), THRESHOLD)
        assert seen is not None
        assert seen.seconds == 7 * DAY
        assert 0.15 < seen.effect < 0.35
        day = 12
        while 4 not in watch.harmed:
            live(watch, range(day, day + 1), {4: USUAL + seen.effect}, seed=seed)
            day += 1
        delays.append(day - 12)
    assert 0.4 * 7 <= np.median(delays) <= 1.05 * 7


def test_a_rise_is_seen_within_a_day_only_where_a_day_has_blocks_enough() -> None:
    hours = SegmentWatch()
    n = np.full(SEGMENTS, float(ROWS))
    parts = Part(n, n * USUAL, n), Part(n * 20, n * 20 * USUAL, n)
    for hour in range(2):
        assert hours.reach(borders(), THRESHOLD) is None
        hours.take(hour * DAY / 24, parts, borders(), THRESHOLD)
    seen = hours.reach(borders(), THRESHOLD)
    assert seen is not None
    assert seen.seconds == DAY


def test_where_no_rise_would_show_within_a_month_none_is_named() -> None:
    watch, rare = SegmentWatch(), np.full(SEGMENTS, 0.5)
    parts = Part(rare, rare * USUAL, rare), Part(rare * 20, rare * 20 * USUAL, rare)
    for week in range(4):
        watch.take(week * 7 * DAY, parts, borders(), THRESHOLD)
    assert watch.reach(borders(), THRESHOLD) is None
