"""What a profile says of reference data."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.traffic import BINARY, DAY, reference

from trimtab.domain.records import CodedTexts
from trimtab.domain.signature import Datatype, Output, Signature
from trimtab.judge.column_profile import column_profile
from trimtab.judge.profile import Reference, build_profile, day_index
from trimtab.judge.quality import METRICS, texts
from trimtab.judge.signals.counts import Bins
from trimtab.judge.strata import When
from trimtab.stats.bins import above_values

MULTICLASS = Signature((), (Output("label", Datatype.BYTES),), "multiclass", ("a", "b"))
REGRESSION = Signature((), (Output("prediction", Datatype.FP64),), "regression")
OTHER = Signature((), (), "other")


def test_a_timed_reference_tells_how_much_days_differ() -> None:
    profile = build_profile(reference())
    assert (profile.rows, profile.days, profile.segments) == (8000, 20, ("side",))
    level, side = profile.inputs
    assert level.spread is not None
    assert 0.0 < level.spread < 0.2
    assert level.jump is not None
    assert sum(level.masses) == pytest.approx(1.0)
    assert len(level.masses) == len(level.cuts) + 1
    assert set(side.categories) == {"left", "right"}
    assert side.masses[-1] == 0.0
    assert tuple(quality.metric for quality in profile.quality) == METRICS["binary"]
    for quality in profile.quality:
        assert quality.lower < quality.value < quality.upper
        assert quality.spread is not None
    assert abs(profile.calibration or 1.0) < 0.02


def test_coded_texts_are_profiled_as_the_texts_they_are() -> None:
    """Also in what is learned for estimates, and whatever the order of the names."""
    plain = reference()
    names, texts_given = ("right", "never", "left"), plain.inputs["side"]
    assert not isinstance(texts_given, CodedTexts)
    side = np.array([names.index(name) for name in texts_given.tolist()], dtype=np.int64)
    side[:50] = -1
    texts_of = np.array([*names, None], dtype=object)[side]
    given_texts = replace(plain, inputs={**plain.inputs, "side": texts_of})
    coded = replace(plain, inputs={**plain.inputs, "side": CodedTexts(names, side)})
    assert build_profile(coded) == build_profile(given_texts)


@given(
    st.lists(
        st.floats(allow_nan=True, allow_infinity=True, width=32) | st.integers(0, 3).map(float),
        min_size=1,
        max_size=40,
    )
)
def test_cuts_lie_beside_quantiles_and_limits_are_those_of_the_values(drawn: list[float]) -> None:
    values = np.array(drawn, dtype=np.float64)
    made = column_profile("x", values, None)
    known = values[~np.isnan(values)]
    finite = known[np.isfinite(known)]
    levels = np.arange(1, 10) / 10
    wanted = np.quantile(finite, levels, method="inverted_cdf") if finite.size else np.empty(0)
    assert made.cuts == tuple(above_values(np.unique(wanted), np.sort(finite)).tolist())
    assert made.minimum == (known.min() if known.size else None)
    assert made.maximum == (known.max() if known.size else None)
    assert made.values in ((), tuple(np.unique(known).tolist()))


def test_values_that_are_rounded_otherwise_stay_in_their_bins() -> None:
    rng = np.random.default_rng(3)
    scores = rng.choice(rng.random(40), 5_000)
    profile = column_profile("score", scores, None)
    again = np.clip(scores + 1e-10 * rng.standard_normal(scores.size), 0.0, 1.0)
    assert Bins.of(profile, again).counts == Bins.of(profile, scores).counts


def test_without_time_nothing_is_said_of_days() -> None:
    profile = build_profile(reference(timed=False))
    assert (profile.days, profile.since, profile.until) == (0, None, None)
    assert all(column.spread is None for column in profile.inputs)
    assert all(quality.spread is None for quality in profile.quality)
    assert all(quality.lower < quality.value < quality.upper for quality in profile.quality)


def test_too_few_days_are_no_days() -> None:
    assert day_index(np.array([0.0, DAY, 2 * DAY])) is None


def test_a_column_that_takes_few_values_keeps_them() -> None:
    rough = column_profile("x", np.repeat([1.0, 2.5, np.nan], 100), None)
    assert rough.values == (1.0, 2.5)
    assert rough.missing == pytest.approx(1 / 3)
    assert column_profile("x", np.linspace(0.0, 1.0, 300), None).values == ()


def test_a_column_that_is_always_missing_has_a_profile() -> None:
    day = np.repeat(np.arange(5), 2)
    empty = column_profile("x", np.full(10, np.nan), When(day, day, 0))
    assert (empty.cuts, empty.minimum, empty.missing, empty.spread) == ((), None, 1.0, None)


def test_regressions_scale_their_losses() -> None:
    truth = np.random.default_rng(0).normal(0.0, 10.0, 400)
    label = np.array([repr(value) for value in truth.tolist()], dtype=object)
    given = Reference(
        REGRESSION, {"x": truth}, {"prediction": truth + 3.0}, label, np.arange(400) * DAY / 40
    )
    profile = build_profile(given)
    assert [quality.metric for quality in profile.quality] == ["squared_error", "absolute_error"]
    assert [quality.scale for quality in profile.quality] == pytest.approx([9.0, 3.0])
    assert profile.score is not None
    assert profile.calibration is None


def test_classes_are_profiled_as_texts() -> None:
    label = np.array(["a", "b"] * 50, dtype=object)
    given = Reference(MULTICLASS, {"x": np.ones(100)}, {"label": label}, label)
    profile = build_profile(given)
    assert profile.score is not None
    assert profile.score.categories == ("a", "b")
    assert profile.quality[0].value == 0.0


def test_without_outputs_or_labels_there_is_no_quality() -> None:
    bare = build_profile(Reference(OTHER, {"x": np.ones(10)}))
    assert (bare.score, bare.quality, bare.positive_rate) == (None, (), None)
    unlabelled = build_profile(Reference(BINARY, {"x": np.ones(10)}, {"score": np.full(10, 0.6)}))
    assert (unlabelled.quality, unlabelled.positive_rate, unlabelled.calibration) == ((), 1.0, None)
    unanswered = build_profile(Reference(BINARY, {"x": np.ones(10)}))
    assert unanswered.positive_rate is None


def test_the_share_decided_positive_is_that_of_rows_with_a_score() -> None:
    score = np.array([0.9, np.nan, 0.1, np.nan])
    some = build_profile(Reference(BINARY, {"x": np.ones(4)}, {"score": score}))
    none = build_profile(Reference(BINARY, {"x": np.ones(4)}, {"score": score * np.nan}))
    assert (some.positive_rate, none.positive_rate) == (0.5, None)


def test_rows_without_time_or_label_are_left_out_where_they_say_nothing() -> None:
    whole = reference()
    assert whole.label is not None
    assert whole.time is not None
    label, time = whole.label.copy(), whole.time.copy()
    label[:100], time[-50:] = None, np.nan
    given = Reference(BINARY, whole.inputs, whole.outputs, label, time)
    profile = build_profile(given)
    assert profile.rows == 7950
    assert {quality.n for quality in profile.quality} == {7850}
    label[:] = None
    bare = build_profile(Reference(BINARY, whole.inputs, whole.outputs, label, time))
    assert (bare.quality, bare.calibration) == ((), None)


def test_one_class_alone_has_no_auc_and_no_recall() -> None:
    label = np.array(["0"] * 60, dtype=object)
    score = np.linspace(0.0, 1.0, 60)
    given = Reference(BINARY, {"x": score}, {"score": score}, label, np.arange(60) * DAY / 10)
    known = {quality.metric: quality.value for quality in build_profile(given).quality}
    assert known.keys() == {"error", "brier", "log_loss", "precision", "f1"}
    assert (known["precision"], known["f1"]) == (0.0, 0.0)


def test_labels_are_written_in_shortest_form() -> None:
    assert texts(np.array([1.0, 2.5, np.nan])).tolist() == ["1", "2.5", ""]
    assert texts(np.array([None, "x", 3], dtype=object)).tolist() == ["", "x", "3"]


def test_quality_is_that_of_the_rows_whose_score_and_label_can_be_used() -> None:
    score = np.array([0.5, 0.5, np.nan, 1.7, 0.5])
    label = np.array(["1", "0", "1", "1", "banana"], dtype=object)
    given = Reference(BINARY, {"x": np.arange(5.0)}, {"score": score}, label)
    brier = next(each for each in build_profile(given).quality if each.metric == "brier")
    assert brier.value == pytest.approx(0.25)
    assert brier.n == 2
    assert build_profile(given).calibration == pytest.approx(0.0)


def test_a_reference_without_a_usable_label_has_no_quality() -> None:
    label = np.array(["soon"] * 3, dtype=object)
    given = Reference(BINARY, {"x": np.arange(3.0)}, {"score": np.full(3, 0.5)}, label)
    assert build_profile(given).quality == ()
    assert build_profile(given).calibration is None
