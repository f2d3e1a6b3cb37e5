"""What cannot be judged is `unknown` with its reason: never a crash, never a silent pass."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import (
    BINARY,
    DAY,
    STABLE,
    Change,
    changed,
    labelled,
    profile,
    reference,
    rows,
    spec,
)

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.counts import MOST_OPEN

FIRST = 20
TIMED = profile()


def begun(known: ReferenceProfile, plan: DeploymentSpec | None = None) -> Monitors:
    """Monitors of a release that begins on the first day."""
    return Monitors.start(plan or spec(), BINARY, known, STABLE.digest, FIRST * DAY)


def told(monitors: Monitors, clock: float = (FIRST + 40) * DAY) -> dict[str, Verdict]:
    """The verdicts by signal."""
    report = monitors.assess(clock, (), Surroundings())
    return {verdict.signal: verdict for verdict in report.verdicts}


def live(monitors: Monitors, days: int, inputs: dict[str, np.ndarray] | None = None) -> None:
    """Ordinary days of 400 rows, some of the inputs replaced."""
    for day in range(FIRST, FIRST + days):
        part = rows(400, seed=day, start=day * DAY)
        monitors.observe(Rows(part.fixed, {**part.inputs, **(inputs or {})}, part.outputs))
        monitors.learn(labelled(part, seed=day))
        monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings())


def with_level(values: np.ndarray) -> ReferenceProfile:
    """A profile whose column `level` held these values."""
    known = reference()
    assert len(values) == len(known.inputs["level"])
    given = {**known.inputs, "level": values}
    return build_profile(
        Reference(BINARY, given, known.outputs, known.label, known.time, known.segments)
    )


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("value", "reason"),
    [(7.0, "a single value"), (np.nan, "no value of it")],
)
def test_a_reference_column_without_variety_judges_nothing(value: float, reason: str) -> None:
    monitors = begun(with_level(np.full(8000, value)))
    live(monitors, 30, {"level": np.full(400, value)})
    verdicts = told(monitors)
    assert verdicts["input:level"].verdict == "unknown"
    assert reason in verdicts["input:level"].reason
    assert verdicts["input:side"].verdict == "ok"
    assert verdicts["upstream"].verdict == "ok"


def test_another_number_than_the_only_one_is_no_broken_feed() -> None:
    monitors = begun(with_level(np.full(8000, 2012.0)))
    live(monitors, 10, {"level": np.full(400, 2013.0)})
    assert told(monitors)["upstream"].verdict == "ok"


def test_a_reference_of_fifty_rows_is_too_small_to_judge_by() -> None:
    monitors = begun(build_profile(reference(days=1, per_day=50, timed=False)))
    live(monitors, 3)
    verdicts = told(monitors)
    for signal in ("input:level", "input:side", "prediction", "quality"):
        assert verdicts[signal].verdict == "unknown"
        assert "50" in verdicts[signal].reason
        assert "100 are needed" in verdicts[signal].reason
    assert verdicts["errors"].verdict == "ok"


def test_a_segment_of_one_row_breaks_nothing() -> None:
    monitors = begun(TIMED)
    for day in range(FIRST, FIRST + 12):
        part = rows(400, seed=day, start=day * DAY)
        side = np.array(["left"] * 399 + ["right"], dtype=object)
        level = part.inputs["level"].copy()
        level[-1] = np.nan
        monitors.observe(Rows(part.fixed, {"level": level, "side": side}, part.outputs))
    assert told(monitors)["upstream"].verdict == "ok"


def scored(score: np.ndarray) -> Monitors:
    """Monitors after a day with these scores."""
    monitors = begun(TIMED)
    part = rows(400, start=FIRST * DAY)
    given = Rows(part.fixed, part.inputs, {"score": score})
    monitors.observe(given)
    monitors.learn(Labelled(given, labelled(part).label, part.fixed["event_time"]))
    return monitors


@pytest.mark.parametrize("value", [np.nan, 1.7, -0.2, np.inf, -np.inf])
def test_scores_that_are_no_probabilities_are_no_quality(value: float) -> None:
    verdicts = told(scored(np.full(400, value)))
    assert verdicts["quality"].verdict == "unknown"
    assert "400 had no usable score or label" in verdicts["quality"].reason
    assert verdicts["prediction"].verdict == "bad" or verdicts["prediction"].evidence_log10 > 0.0


def test_scores_that_are_missing_are_no_decisions() -> None:
    score = np.where(np.arange(400) % 2, 0.9, np.nan)
    assert told(scored(score))["positive_rate"].estimate == pytest.approx(1.0)


def test_a_day_of_few_answers_is_no_day() -> None:
    monitors = begun(TIMED)
    monitors.observe(rows(29, start=FIRST * DAY))
    assert told(monitors)["positive_rate"].verdict == "unknown"


def test_labels_that_are_no_class_are_no_quality() -> None:
    monitors = begun(TIMED)
    part = rows(400, start=FIRST * DAY)
    monitors.observe(part)
    label = np.array(["banana"] * 400, dtype=object)
    monitors.learn(Labelled(part, label, part.fixed["event_time"]))
    assert told(monitors)["quality"].verdict == "unknown"


def test_labels_that_are_no_number_are_no_quality_of_a_regression() -> None:
    signature = Signature((), (), "regression")
    values = np.random.default_rng(0).normal(0.0, 1.0, 400)
    label = np.array([repr(value) for value in values.tolist()], dtype=object)
    known = build_profile(Reference(signature, {"x": values}, {"prediction": values + 0.1}, label))
    monitors = Monitors.start(spec(quality="auto"), signature, known, STABLE.digest, FIRST * DAY)
    part = rows(400, start=FIRST * DAY)
    given = Rows(part.fixed, {"x": values}, {"prediction": values + 0.1})
    label[::2] = "soon"
    monitors.observe(given)
    monitors.learn(Labelled(given, label, part.fixed["event_time"]))
    assert "200 had no usable score or label" in told(monitors)["quality"].reason


def test_a_clock_that_jumps_closes_what_is_open_and_goes_on() -> None:
    monitors = begun(TIMED)
    live(monitors, 3)
    told(monitors, (FIRST + 400) * DAY)
    live_days = range(FIRST + 3, FIRST + 6)
    for day in live_days:
        monitors.observe(rows(400, seed=day, start=day * DAY))
    verdict = told(monitors, (FIRST + 400) * DAY)["input:level"]
    assert (verdict.verdict, verdict.n) == ("ok", 6 * 400)


@pytest.mark.no_cover
def test_rows_of_any_time_leave_a_bounded_number_of_blocks_open() -> None:
    monitors = begun(TIMED)
    part = rows(2 * MOST_OPEN, start=FIRST * DAY, seconds=2 * MOST_OPEN * DAY)
    monitors.observe(part)
    family = next(each for each in monitors._families if each.name == "inputs")
    assert len(family.state.blocks.counts) == MOST_OPEN
    assert min(family.state.blocks.counts) == FIRST


def test_cohorts_wait_for_labels_of_a_day_however_short_blocks_are() -> None:
    minutes, day = 1440, FIRST * DAY
    plan = spec(block_seconds=60.0, maturity_seconds=DAY)
    monitors = Monitors.start(plan, BINARY, profile(timed=False), STABLE.digest, day)
    assert minutes > MOST_OPEN
    part = rows(2 * minutes, start=day, seconds=DAY)
    monitors.observe(part)
    monitors.learn(labelled(part).take(np.arange(2 * minutes) % 4 > 0))
    verdict = told(monitors, (FIRST + 3) * DAY)["quality"]
    assert verdict.n == 1.5 * minutes
    assert "labels for 75% of the predictions" in verdict.reason


@pytest.mark.parametrize("level", [None, np.array(["7"] * 400, dtype=object)])
def test_a_column_that_a_torn_segment_lost_is_missing(level: np.ndarray | None) -> None:
    monitors = begun(TIMED)
    live(monitors, 8)
    for day in range(FIRST + 8, FIRST + 10):
        part = rows(400, seed=day, start=day * DAY)
        inputs = {"side": part.inputs["side"]} | ({} if level is None else {"level": level})
        monitors.observe(Rows(part.fixed, inputs, part.outputs))
    verdicts = told(monitors)
    assert verdicts["upstream:level"].verdict == "bad"
    assert "100% missing" in verdicts["upstream:level"].reason


def test_a_day_of_two_rows_is_not_tested() -> None:
    monitors = begun(TIMED)
    part = changed(rows(2, start=FIRST * DAY), Change(shift=99.0))
    monitors.observe(part)
    monitors.learn(labelled(part))
    verdicts = told(monitors)
    assert verdicts["input:level"].verdict == "unknown"
    assert verdicts["quality"].verdict == "unknown"
    assert "2 were left out" in verdicts["quality"].reason


def test_a_reference_with_few_labels_judges_no_quality() -> None:
    few = msgspec.structs.replace(
        TIMED, quality=tuple(msgspec.structs.replace(each, n=99) for each in TIMED.quality)
    )
    monitors = begun(few)
    live(monitors, 3)
    assert "99 labels, 100 are needed" in told(monitors)["quality"].reason
