"""A loss is told in its own unit: of minutes in minutes, of hours in hours."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trimtab
from trimtab.views.report_shapes import StreamView

ROWS = 12_000
MINUTES = 64.0
"""A power of two, so that other units change no rounding."""

NUMBERS = ("estimate", "lower", "upper", "reference", "tolerance")


def flights(seed: int, unit: float, wrong: float = 1.0, where: str = "") -> pd.DataFrame:
    """Delays, predicted with an error that is `wrong` times as large (at `where` alone)."""
    rng = np.random.default_rng(seed)
    x, airport = rng.normal(size=ROWS), rng.choice(["EWR", "JFK", "LGA"], ROWS)
    told = 3.0 * x
    factor = np.where((airport == where) | (where == ""), wrong, 1.0)
    return pd.DataFrame(
        {
            "x": x,
            "airport": airport,
            "told": told * unit,
            "delay": (told + rng.normal(size=ROWS) * factor) * unit,
            "time": pd.date_range("2026-01-01", periods=ROWS, freq="2min"),
        }
    )


def judged(unit: float, **live: Any) -> trimtab.Report:
    """Live flights against ordinary ones, both in a unit."""
    return trimtab.monitor(
        flights(1, unit),
        flights(2, unit, **live),
        target="delay",
        prediction="told",
        time="time",
        segments=["airport"],
        quality=["squared_error", "absolute_error"],
    )


def losses(report: trimtab.Report) -> dict[str, StreamView]:
    """The streams that say how large errors are, with a power of the unit."""
    groups = ("quality", "estimate", "segments")
    return {each.signal: each for each in report.streams if each.signal.startswith(groups)}


@pytest.mark.parametrize("live", [{}, {"wrong": 1.6}, {"wrong": 2.0, "where": "JFK"}])
def test_other_units_change_what_is_told_and_nothing_that_is_judged(live: dict[str, Any]) -> None:
    hours, minutes = judged(1.0, **live), judged(MINUTES, **live)
    assert {s.signal: s.verdict for s in hours.streams} == {
        s.signal: s.verdict for s in minutes.streams
    }
    for signal, stream in losses(hours).items():
        other, power = losses(minutes)[signal], 1 if "absolute_error" in signal else 2
        assert other.evidence_log10 == pytest.approx(stream.evidence_log10)
        for number in NUMBERS:
            value = getattr(stream, number)
            expected = None if value is None else value * MINUTES**power
            assert getattr(other, number) == pytest.approx(expected), (signal, number)


def test_the_error_of_a_regression_is_that_of_its_predictions() -> None:
    report, live = judged(MINUTES, wrong=1.6), flights(2, MINUTES, wrong=1.6)
    usual = flights(1, MINUTES)
    for signal, power in (("quality", 2), ("quality:absolute_error", 1)):
        stream = losses(report)[signal]
        loss, known = (np.abs(each.delay - each.told) ** power for each in (live, usual))
        most = float(np.quantile(known, 0.99))
        assert stream.verdict == "bad"
        assert stream.estimate == pytest.approx(np.minimum(loss, most).mean(), rel=0.02)
        assert stream.reference == pytest.approx(np.minimum(known, most).mean(), rel=0.02)
        found = re.search(r"error ([\d.e+]+) \[", stream.reason)
        assert found is not None
        assert float(found[1]) == pytest.approx(stream.estimate, rel=1e-3)


def test_segments_and_cohorts_are_told_in_the_unit_too() -> None:
    view, live = judged(MINUTES, wrong=2.0, where="JFK").view, flights(2, MINUTES, 2.0, "JFK")
    usual, there = flights(1, MINUTES), live[live.airport == "JFK"]
    most = float(((usual.delay - usual.told) ** 2).quantile(0.99))
    loss = float(np.minimum((there.delay - there.told) ** 2, most).mean())
    part = next(each for each in view.segments if each.segment == "airport=JFK")
    assert part.quality == pytest.approx(loss, rel=0.02)
    assert view.quality is not None
    assert view.quality.lower <= view.quality.value <= view.quality.upper
    assert all((each.value or 0.0) > 0.5 * MINUTES**2 for each in view.quality.cohorts)


@pytest.mark.parametrize(("tolerance", "verdict"), [(0.5, "bad"), (5.0, "ok")])
def test_a_tolerance_of_quality_is_in_the_unit_of_the_metric(
    tolerance: float, verdict: str
) -> None:
    report = trimtab.monitor(
        flights(1, 1.0),
        flights(2, 1.0, wrong=1.6),
        target="delay",
        prediction="told",
        time="time",
        quality=["squared_error"],
        quality_tolerance=tolerance,
    )
    stream = losses(report)["quality"]
    assert stream.verdict == verdict
    assert stream.tolerance == pytest.approx(tolerance)
