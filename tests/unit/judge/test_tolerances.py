"""The tolerances that a release states are those that its monitors use."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, profile, reference, rows, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.inputs import Inputs
from trimtab.judge.signals.prediction import Prediction
from trimtab.judge.signals.service import Service
from trimtab.judge.tolerances import Tolerance, stated

TIMED = profile()


def by_signal(known: ReferenceProfile) -> dict[str, Tolerance]:
    """The stated tolerances."""
    return {each.signal: each for each in stated(known)}


def target(known: ReferenceProfile = TIMED, **tolerances: float) -> Target:
    """A target with tolerances of the user's own."""
    own = {name.replace("__", ":"): width for name, width in tolerances.items()}
    return Target(spec(tolerances=own), BINARY, known, STABLE.digest, 0.0)


def test_every_signal_of_a_profile_states_its_tolerance_and_what_it_was_learned_from() -> None:
    told = by_signal(TIMED)
    assert set(told) == {
        "quality (roc_auc)",
        "quality (error)",
        "quality (brier)",
        "quality (log_loss)",
        "quality (precision)",
        "quality (recall)",
        "quality (f1)",
        "segments",
        "calibration",
        "prediction",
        "positive_rate",
        "input:level",
        "input:side",
    }
    assert told.pop("segments").basis == "6 segments, 20 days"
    assert {each.basis for each in told.values()} == {"20 days"}
    assert all(each.tolerance is not None and each.tolerance > 0.0 for each in told.values())


def test_what_is_stated_is_what_is_watched() -> None:
    told = by_signal(TIMED)
    prediction, inputs = Prediction.of(target()), Inputs.of(target())
    assert prediction is not None
    assert inputs is not None
    assert prediction.state.positive is not None
    zone = prediction.state.positive.zones[0]
    rate = told["positive_rate"]
    assert (rate.reference or 0.0) + (rate.tolerance or 0.0) == pytest.approx(zone.high)
    level = inputs.state.watches["level"].zones[0]
    assert (level.high or 0.0) - (level.low or 0.0) == pytest.approx(
        2.0 * (told["input:level"].tolerance or 0.0)
    )


def test_without_time_rows_and_labels_are_named() -> None:
    told = by_signal(profile(timed=False))
    assert told["input:level"].basis == "8,000 rows"
    assert told["positive_rate"].basis == "8,000 rows"
    assert told["quality (brier)"].basis == "8,000 labels"
    assert told["calibration"].basis == "8,000 labels"


def test_what_the_reference_cannot_judge_says_why() -> None:
    told = by_signal(build_profile(reference(days=1, per_day=50, timed=False)))
    assert told["input:level"].tolerance is None
    assert "50 rows" in told["input:level"].basis
    assert told["quality (brier)"] == Tolerance(
        "quality (brier)", told["quality (brier)"].reference, None, "only 50 labels"
    )


def test_hours_of_the_week_are_named() -> None:
    level = TIMED.inputs[0]
    hourly = msgspec.structs.replace(level, strata=(level.masses,), strata_spread=0.01)
    told = by_signal(msgspec.structs.replace(TIMED, inputs=(hourly,)))
    assert told["input:level"].basis == "20 days, by hour of the week"


def test_a_profile_without_predictions_states_its_inputs() -> None:
    values = np.random.default_rng(0).normal(0.0, 1.0, 300)
    bare = build_profile(Reference(BINARY, {"x": values}))
    assert set(by_signal(bare)) == {"input:x"}


def test_the_users_own_tolerance_takes_the_place_of_the_learned_one() -> None:
    own = target(errors=0.05, latency=0.1, positive_rate=0.2, input__level=0.3, prediction=0.3)
    service, prediction, inputs = Service.of(own), Prediction.of(own), Inputs.of(own)
    assert prediction is not None
    assert inputs is not None
    assert prediction.state.positive is not None
    assert service.state.errors.zones[0].high == pytest.approx(0.001 + 0.05)
    assert service.state.latency.zones[0].high == pytest.approx(0.01 + 0.1)
    width = prediction.state.positive.zones[0]
    assert (width.high or 0.0) - (width.low or 0.0) > 0.4
    for watch in (inputs.state.watches["level"], prediction.state.score):
        assert (watch.zones[0].high or 0.0) - (watch.zones[0].low or 0.0) > 0.6
    side = inputs.state.watches["side"].zones[0]
    assert (side.high or 0.0) - (side.low or 0.0) < 0.6


def test_a_tolerance_of_an_unknown_input_is_not_passed_over() -> None:
    own = spec(tolerances={"input:levle": 0.1})
    monitors = Monitors.start(own, BINARY, TIMED, STABLE.digest, 20 * DAY)
    monitors.observe(rows(400, start=20 * DAY))
    report = monitors.assess(22 * DAY, (), Surroundings())
    verdict = next(each for each in report.verdicts if each.signal == "input:levle")
    assert verdict.verdict == "unknown"
    assert "no such input" in verdict.reason


def test_a_segment_of_an_unknown_input_is_not_passed_over() -> None:
    monitors = Monitors.start(
        spec(segments=("side", "sied")), BINARY, TIMED, STABLE.digest, 20 * DAY
    )
    monitors.observe(rows(400, start=20 * DAY))
    verdicts = {
        each.signal: each for each in monitors.assess(22 * DAY, (), Surroundings()).verdicts
    }
    assert verdicts["input:sied"].reason == (
        "it is named as a segment, and the reference has no such input"
    )
    assert "no such input" not in verdicts["input:side"].reason
