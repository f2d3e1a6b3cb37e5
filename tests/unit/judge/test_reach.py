"""What `status` says a signal would show, against what it does show."""

import numpy as np
import pytest

from trimtab.judge.reach import DAY, Reach, reach
from trimtab.judge.watch import Watch, Zone

HOUR = 3600.0


def calm(watch: Watch, blocks: int, rows: int, mean: float = 0.2, seconds: float = HOUR) -> Watch:
    """The watch after some ordinary blocks."""
    for number in range(blocks):
        totals = [mean * rows] * len(watch.zones)
        watch.take(number * seconds, totals, rows)
    return watch


@pytest.mark.parametrize(("summed", "rows"), [(False, 50), (False, 1000), (True, 50), (True, 1000)])
def test_a_change_of_the_size_that_is_said_shows_within_the_time(summed: bool, rows: int) -> None:
    """Half of the streams at least alarm in time, and a quarter of the time is too short."""
    seen = reach(calm(fresh(summed), 7, rows), 0.2)
    assert seen is not None
    assert seen.seconds == DAY
    rng, late, early = np.random.default_rng(rows), 0, 0
    for _ in range(60):
        watch, hours = fresh(summed), 0
        while watch.frozen is None:
            hours += 1
            watch.take(hours * HOUR, [float(rng.binomial(rows, 0.2 + seen.effect))], rows)
        late += hours > 24
        early += hours <= 6
    assert late <= 30
    assert early <= 30


def fresh(summed: bool) -> Watch:
    """A watch that tolerates one point more than the reference."""
    return Watch((Zone(None, 0.21),), None, 4.0, summed)


def test_more_traffic_shows_smaller_changes() -> None:
    effects = []
    for rows in (20, 200, 2000):
        seen = reach(calm(fresh(True), 7, rows), 0.2)
        assert seen is not None
        effects.append(seen.effect)
    assert effects[0] > effects[1] > effects[2] > 0.01


def test_where_a_day_is_too_short_a_week_or_a_month_is_named() -> None:
    seen = reach(calm(Watch((Zone(None, 0.21),), 0.9, 3.0), 7, 400, seconds=DAY), 0.2)
    assert seen is not None
    assert seen.seconds in (7.0 * DAY, 30.0 * DAY)
    longer = reach(calm(fresh(False), 3, 50, seconds=3.0 * DAY), 0.2)
    assert longer is not None
    assert longer.seconds == 7.0 * DAY


def test_before_the_second_block_nothing_is_known_of_the_traffic() -> None:
    assert reach(fresh(False), 0.2) is None
    assert reach(calm(fresh(False), 1, 400), 0.2) is None


def test_a_trickle_shows_nothing_within_a_month() -> None:
    assert reach(calm(Watch((Zone(None, 0.9),), None, 6.0), 3, 1, seconds=10.0 * DAY), 0.2) is None


def test_a_zone_that_cannot_be_left_shows_nothing() -> None:
    assert reach(calm(Watch((Zone(0.0, 1.0),), None, 4.0), 3, 400), None) is None


def test_of_several_indicators_the_one_in_the_middle_is_meant() -> None:
    zones = (Zone(0.05, 0.15), Zone(0.45, 0.55), Zone(None, 0.02))
    seen = reach(calm(Watch(zones, None, 4.0), 7, 400), None)
    assert seen is not None
    assert isinstance(seen, Reach)
    assert 0.05 < seen.effect < 0.2
