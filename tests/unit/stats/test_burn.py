"""Burn-rate windows fire on outages, soon, and not on single failures."""

import numpy as np
import pytest

from trimtab.stats.burn import MINUTE, RULES, Objective, burn_readings

THREE_NINES = Objective(0.999)


def test_thresholds_are_those_of_the_workbook() -> None:
    """14.4, 6, 3 and 1 for a period of 30 days; the short window is a twelfth."""
    thresholds = [rule.threshold(THREE_NINES.period_seconds) for rule in RULES]
    assert thresholds == pytest.approx([14.4, 6.0, 3.0, 1.0])
    assert all(rule.long_seconds == pytest.approx(12 * rule.short_seconds) for rule in RULES)


@pytest.mark.parametrize(("seconds", "fires"), [(51, False), (54, True)])
def test_a_full_outage_pages_after_about_52_seconds(seconds: int, fires: bool) -> None:
    """At 1,000 requests a second the gate adds next to nothing."""
    total = np.full(3600, 1000)
    bad = np.zeros(3600, dtype=int)
    bad[-seconds:] = 1000
    assert burn_readings(bad, total, 1.0, THREE_NINES)[0].fires is fires


def test_a_single_failure_at_low_traffic_does_not_fire_but_several_do() -> None:
    """Ten requests an hour: burn 100 by one failure, which is no evidence."""
    one = burn_readings([1], [10], 3600.0, THREE_NINES)[0]
    assert one.long_burn == pytest.approx(100)
    assert not one.fires
    assert one.tail == pytest.approx(0.134, abs=0.001)
    two = burn_readings([2], [10], 3600.0, THREE_NINES)[0]
    assert two.fires
    assert (two.bad, two.total) == (2, 10)


def test_a_rule_stops_soon_after_recovery() -> None:
    """The short window is clean although the long one still burns."""
    bad = [0] * 40 + [600] * 10 + [0] * 10
    reading = burn_readings(bad, [600] * 60, MINUTE, THREE_NINES)[0]
    assert reading.long_burn > reading.threshold
    assert reading.short_burn == 0.0
    assert not reading.fires


def test_no_traffic_and_no_history_fire_nothing() -> None:
    """Silence is not an outage of the model."""
    for bad, total in (([], []), ([0] * 5, [0] * 5)):
        assert not any(reading.fires for reading in burn_readings(bad, total, 1.0, THREE_NINES))


def test_counts_that_do_not_fit_are_refused() -> None:
    """One bad and one total per bucket of some length, and an objective that can be missed."""
    with pytest.raises(ValueError, match="per bucket"):
        burn_readings([1], [1, 2], 1.0, THREE_NINES)
    with pytest.raises(ValueError, match="per bucket"):
        burn_readings([1], [1], 0.0, THREE_NINES)
    with pytest.raises(ValueError, match="bad <= total"):
        burn_readings([2], [1], 1.0, THREE_NINES)
    with pytest.raises(ValueError, match="share"):
        Objective(1.0)
    with pytest.raises(ValueError, match="period"):
        Objective(0.9, 0.0)
